//! Manifests applied again and again while the controllers work. `DUCKWORKER_GITOPS_MINUTES` makes it
//! last.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_client::connection::PROGRAM;
use duckworker_e2e::claim::{claim, is};
use duckworker_e2e::pool::{await_count, pool};
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_e2e::{AuditMark, TestNamespace, await_gone};
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::git::{Git, TRACKING, Tally, api};

/// Rounds of claims that come and go, at least.
const ROUNDS: usize = 4;
/// The claims of a round: who makes them.
const TENANTS: [&str; 4] = ["acme", "acme", "acme", "other"];

/// The kinds that are applied.
const APPLIED: [&str; 3] = ["duckworkerpools", "duckworkerclaims", "ducktenants"];

/// How long it lasts beyond that.
fn minutes() -> Result<Duration> {
    let minutes = std::env::var("DUCKWORKER_GITOPS_MINUTES").unwrap_or_else(|_| "0".to_owned());
    Ok(Duration::from_secs(minutes.parse::<u64>()? * 60))
}

/// As Argo CD applies it.
fn tracked(mut manifest: Value) -> Value {
    let (annotation, label) = TRACKING;
    manifest["metadata"]["annotations"] = json!({ annotation: "app:duckworker.dev/X:ns/x" });
    manifest["metadata"]["labels"] = json!({ label: "app" });
    manifest
}

/// What stays: a pool that learns from misses, and a tenant whose cap is met.
fn standing() -> [Value; 2] {
    let mut pool = pool("p", 1, 8);
    pool["spec"]["demand"] = json!({ "maxExtra": 3, "windowSeconds": 60 });
    pool["spec"]["hotIdle"] = json!({ "ttlSeconds": 1 });
    pool["spec"]["disruption"] = json!("AllowIdle");
    let tenant = json!({
        "apiVersion": "duckworker.dev/v1alpha1",
        "kind": "DuckTenant",
        "metadata": { "name": "acme" },
        "spec": { "maxWorkers": 3, "hotIdle": { "ttlSeconds": 0 } },
    });
    [pool, tenant].map(tracked)
}

fn claims() -> Vec<Value> {
    let numbered = TENANTS.iter().enumerate();
    numbered.map(|(number, tenant)| tracked(claim(&format!("c{number}"), "p", tenant))).collect()
}

async fn apply_all(git: &mut Git<'_>, manifests: &[Value]) -> Result<()> {
    for manifest in manifests {
        git.apply(manifest).await?;
    }
    Ok(())
}

/// Claims come, are applied again on their way and when they are there, and go.
async fn round(ns: &TestNamespace<'_>, git: &mut Git<'_>, all: &[Value]) -> Result<()> {
    apply_all(git, all).await?;
    apply_all(git, all).await?;
    let mut bound: Vec<DuckWorkerClaim> = Vec::new();
    for number in 0..TENANTS.len() {
        bound.push(ns.await_object(&format!("c{number}"), "Ready", is("Ready")).await?);
        apply_all(git, all).await?;
    }
    for claim in &bound {
        ns.api::<DuckWorkerClaim>().delete(&claim.name_any(), &DeleteParams::default()).await?;
        apply_all(git, &standing()).await?;
        await_gone(&ns.api(), claim).await?;
    }
    Ok(())
}

/// Checks that with nobody else at work an apply is no write at all.
async fn applies_are_no_writes(
    ns: &TestNamespace<'_>,
    git: &mut Git<'_>,
    all: &[Value],
) -> Result<()> {
    for manifest in all {
        let name = manifest["metadata"]["name"].as_str().context("a name")?;
        let before = api(ns, manifest)?.get(name).await?;
        let after = git.apply(manifest).await?.context("no conflict")?;
        ensure!(before.resource_version() == after.resource_version(), "{name} was written");
    }
    Ok(())
}

/// Checks that nothing that the controllers made bears what Argo CD knows its own objects by.
async fn nothing_is_tracked<K>(ns: &TestNamespace<'_>) -> Result<()>
where
    K: duckworker_e2e::Watchable
        + kube::Resource<DynamicType: Default, Scope = k8s_openapi::NamespaceResourceScope>,
{
    let (annotation, label) = TRACKING;
    let objects = ns.api::<K>().list(&ListParams::default()).await?;
    ensure!(!objects.items.is_empty(), "there is no {}", K::kind(&K::DynamicType::default()));
    for object in objects {
        let name = object.name_any();
        ensure!(!object.annotations().contains_key(annotation), "{name} bears {annotation}");
        ensure!(object.labels().get(label).is_none_or(|app| app != "app"), "{name} bears {label}");
    }
    Ok(())
}

/// Checks that the controllers wrote nothing of what is applied but its status.
fn only_statuses_were_written(ns: &TestNamespace<'_>, begin: AuditMark) -> Result<()> {
    let events = ns.cluster.audit().since(begin)?;
    let ours = events.iter().filter(|event| {
        event.namespace() == ns.name && event.user_agent == PROGRAM && event.is_write()
    });
    let (mut statuses, mut others) = (0, Vec::new());
    for event in ours {
        let resource = event.resource();
        let (kind, part) = resource.split_once('/').unwrap_or((&resource, ""));
        match part {
            _ if !APPLIED.contains(&kind) => {}
            "status" => statuses += 1,
            _ => others.push(event),
        }
    }
    ensure!(statuses > 0, "no status was written");
    ensure!(others.is_empty(), "more than a status was written: {others:#?}");
    Ok(())
}

#[tokio::test]
async fn manifests_applied_again_meet_no_conflict_and_make_no_difference() -> Result<()> {
    scenario("gitops-churn", async |ns| {
        let controllers = [controller(ns)?, controller(ns)?];
        let (mut git, begin, limit) = (Git::new(ns), Instant::now(), minutes()?);
        let mark = ns.cluster.audit().mark()?;
        let all = [standing().to_vec(), claims()].concat();
        let mut rounds = 0;
        while rounds < ROUNDS || begin.elapsed() < limit {
            round(ns, &mut git, &all).await?;
            rounds += 1;
        }
        apply_all(&mut git, &all).await?;
        for number in 0..TENANTS.len() {
            let name = format!("c{number}");
            ns.await_object::<DuckWorkerClaim>(&name, "Ready", is("Ready")).await?;
        }
        nothing_is_tracked::<DuckWorker>(ns).await?;
        nothing_is_tracked::<Pod>(ns).await?;
        nothing_is_tracked::<Secret>(ns).await?;
        nothing_is_tracked::<PodDisruptionBudget>(ns).await?;
        for controller in controllers {
            controller.stop().await?;
        }
        applies_are_no_writes(ns, &mut git, &all).await?;
        only_statuses_were_written(ns, mark)?;
        println!("{rounds} rounds in {} s", begin.elapsed().as_secs());
        let applies = git.tally.applies;
        ensure!(git.tally == Tally { applies, ..Tally::default() }, "{}", git.tally);
        Ok(git.tally.to_string())
    })
    .await
    .map(|tally| println!("{tally}"))
}

#[tokio::test]
async fn replicas_that_an_autoscaler_sets_are_left_out_of_git() -> Result<()> {
    scenario("gitops-scale", async |ns| {
        let _controller = controller(ns)?;
        let mut git = Git::new(ns);
        let mut without = pool("p", 1, 8);
        without["spec"].as_object_mut().context("a spec")?.remove("replicas");
        git.apply(&without).await?;
        await_count(ns, "p", "Idle", 1).await?;
        ns.kubectl(&["scale", "dwp/p", "--replicas=3"]).await?.ok()?;
        await_count(ns, "p", "Idle", 3).await?;
        let scaled = ns.api::<DuckWorkerPool>();
        let before = scaled.get("p").await?;
        git.apply(&without).await?;
        let kept = scaled.get("p").await?;
        let unchanged = kept.metadata.generation == before.metadata.generation;
        ensure!(kept.spec.replicas == 3 && unchanged, "{}", kept.spec.replicas);
        // With it in the manifest, the two of them would fight, and nobody be told: Kubernetes notes
        // no owner of what the scale of a custom resource sets.
        git.apply(&pool("p", 1, 8)).await?;
        let back = scaled.get("p").await?;
        ensure!(back.spec.replicas == 1 && git.tally.conflicts == 0, "{}", git.tally);
        Ok(())
    })
    .await
}
