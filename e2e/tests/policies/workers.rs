//! Who may create and change a worker, and who may remove our finalizer.

use anyhow::{Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_api::labels::FINALIZER;
use duckworker_e2e::{TestNamespace, worker};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::actors::{Actors, bind, user};
use crate::writes::verdict;
use crate::{cluster, until};

/// Waits until both policies of this file bite.
pub async fn await_policies(ns: &TestNamespace<'_>) -> Result<()> {
    bind(ns, "platform", "duckworker-edit", "--user=platform").await?;
    let platform = user(ns, "platform")?.workers();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let plain: DuckWorker = serde_json::from_value(worker::plain("refused"))?;
    until("duckworker-creation", async || {
        Ok(verdict(platform.create(&dry_run, &plain).await)?.err().unwrap_or_default())
    })
    .await?;
    let held = with_finalizer(&ns.api(), "held").await?;
    until("duckworker-finalizer", async || {
        let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
        let answer = platform.patch(&held, &dry_run, &Patch::Merge(&free())).await;
        Ok(verdict(answer)?.err().unwrap_or_default())
    })
    .await?;
    patch(&ns.api(), &held, &free()).await?.map_err(anyhow::Error::msg)
}

async fn with_finalizer(api: &Api<DuckWorker>, name: &str) -> Result<String> {
    let mut held = worker::plain(name);
    held["metadata"]["finalizers"] = json!([FINALIZER]);
    api.create(&PostParams::default(), &serde_json::from_value(held)?).await?;
    Ok(name.to_owned())
}

fn free() -> Value {
    json!({ "metadata": { "finalizers": null } })
}

async fn patch(api: &Api<DuckWorker>, name: &str, body: &Value) -> Result<Result<(), String>> {
    let answer = api.patch(name, &PatchParams::default(), &Patch::Merge(body)).await;
    Ok(verdict(answer)?.map(|_| ()))
}

#[tokio::test]
async fn the_finalizer_is_removed_by_those_who_may() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("finalizer", async |ns| {
            let actors = Actors::new(ns).await?;
            bind(ns, "plain", "edit", "--user=alice").await?;
            let alice = user(ns, "alice")?;
            for (actor, fine) in [(&alice, false), (&actors.owner, true), (&actors.admin, true)] {
                let name =
                    with_finalizer(&ns.api(), &format!("f-{}", rand::random::<u32>())).await?;
                let verdict = patch(&actor.workers(), &name, &free()).await?;
                let refusal = verdict.err().unwrap_or_default();
                ensure!(refusal.is_empty() == fine, "{}: {refusal}", actor.id);
                ensure!(fine || refusal.contains("update duckworkers/finalizers"), "{refusal}");
                let label = json!({ "metadata": { "labels": { "a": "b" } } });
                patch(&actor.workers(), &name, &label).await?.map_err(anyhow::Error::msg)?;
                patch(&ns.api(), &name, &free()).await?.map_err(anyhow::Error::msg)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn who_makes_a_worker_must_be_allowed_to_make_pods() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("creation", async |ns| {
            bind(ns, "platform", "duckworker-edit", "--user=platform").await?;
            let platform = user(ns, "platform")?.workers();
            let plain: DuckWorker = serde_json::from_value(worker::plain("hers"))?;
            let sentence = "must be allowed to create pods in namespace";
            let answer = verdict(platform.create(&PostParams::default(), &plain).await)?;
            let refusal = answer.err().unwrap_or_default();
            ensure!(refusal.contains(sentence), "{refusal}");
            ns.api::<DuckWorker>().create(&PostParams::default(), &plain).await?;
            let longer = json!({ "spec": { "drainTimeoutSeconds": 60 } });
            let refusal = patch(&platform, "hers", &longer).await?.err().unwrap_or_default();
            ensure!(refusal.contains(sentence), "{refusal}");
            let label = json!({ "metadata": { "labels": { "a": "b" } } });
            patch(&platform, "hers", &label).await?.map_err(anyhow::Error::msg)?;
            let role = ["create", "role", "pods", "--resource=pods", "--verb=create"];
            ns.kubectl(&role).await?.ok()?;
            let binding = ["create", "rolebinding", "pods", "--role=pods", "--user=platform"];
            ns.kubectl(&binding).await?.ok()?;
            // The API server hears of new rights a moment later.
            let granted = async {
                while patch(&platform, "hers", &longer).await?.is_err() {
                    tokio::task::yield_now().await;
                }
                anyhow::Ok(())
            };
            tokio::time::timeout(duckworker_e2e::PATIENCE, granted).await?
        })
        .await
}
