//! Who may create a pool, change its template, and scale it.

use anyhow::{Result, ensure};
use duckworker_api::DuckWorkerPool;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::pool::{image, pool};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::actors::{Actor, Actors, bind, user};
use crate::tenants::granted;
use crate::writes::verdict;
use crate::{cluster, until};

const SENTENCE: &str = "whoever creates a pool or changes its spec.template must be allowed to \
                        create pods in namespace";

async fn create(actor: &Actor, name: &str, params: &PostParams) -> Result<Result<(), String>> {
    let pool: DuckWorkerPool = serde_json::from_value(pool(name, 1, 5))?;
    Ok(verdict(actor.api().create(params, &pool).await)?.map(drop))
}

async fn patch(actor: &Actor, name: &str, change: Value) -> Result<Result<(), String>> {
    let pools = actor.api::<DuckWorkerPool>();
    let answer = pools.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
    Ok(verdict(answer)?.map(drop))
}

async fn scale(actor: &Actor, name: &str, replicas: i64) -> Result<Result<(), String>> {
    let pools = actor.api::<DuckWorkerPool>();
    let change = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    Ok(verdict(pools.patch_scale(name, &PatchParams::default(), &change).await)?.map(drop))
}

fn refused(verdict: Result<(), String>, sentence: &str) -> Result<()> {
    let refusal = verdict.err().unwrap_or_default();
    ensure!(refusal.contains(sentence), "wanted {sentence:?}, got {refusal:?}");
    Ok(())
}

fn fine(verdict: Result<(), String>) -> Result<()> {
    verdict.map_err(anyhow::Error::msg)
}

/// Waits until the policy of this file bites. The namespace's platform may write pools.
pub async fn await_policy(ns: &TestNamespace<'_>) -> Result<()> {
    let nosy = user(ns, "platform")?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    until("duckworker-pool-creation", async || {
        Ok(create(&nosy, "p", &dry_run).await?.err().unwrap_or_default())
    })
    .await
}

#[tokio::test]
async fn who_makes_a_pool_must_be_allowed_to_make_pods() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("pool-creation", async |ns| {
            let actors = Actors::new(ns).await?;
            bind(ns, "platform", "duckworker-edit", "--user=platform").await?;
            bind(ns, "plain", "edit", "--user=alice").await?;
            let (platform, alice) = (user(ns, "platform")?, user(ns, "alice")?);
            let post = PostParams::default();
            granted(async || create(&alice, "hers", &post).await).await?;
            fine(create(&actors.admin, "theirs", &post).await?)?;
            refused(create(&platform, "his", &post).await?, SENTENCE)?;
            for actor in [&actors.owner, &actors.peer, &actors.person] {
                let refusal = create(actor, "c", &post).await?;
                refused(refusal, "cannot create resource \"duckworkerpools\"")?;
            }
            let grant = ["create", "role", "pods", "--resource=pods", "--verb=create"];
            ns.kubectl(&grant).await?.ok()?;
            let binding = ["create", "rolebinding", "pods", "--role=pods", "--user=platform"];
            ns.kubectl(&binding).await?.ok()?;
            granted(async || create(&platform, "his", &post).await).await?;
            fine(patch(&platform, "hers", image("example.invalid/duckdb:2")).await?)
        })
        .await
}

#[tokio::test]
async fn who_may_not_make_pods_scales_a_pool_and_leaves_its_template_alone() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("pool-scaling", async |ns| {
            bind(ns, "platform", "duckworker-edit", "--user=platform").await?;
            let (platform, admin) = (user(ns, "platform")?, user(ns, "admin")?);
            fine(create(&admin, "p", &PostParams::default()).await?)?;
            granted(async || scale(&platform, "p", 2).await).await?;
            fine(patch(&platform, "p", json!({ "spec": { "replicas": 3 } })).await?)?;
            fine(patch(&platform, "p", json!({ "metadata": { "labels": { "a": "b" } } })).await?)?;
            let other = image("example.invalid/duckdb:2");
            refused(patch(&platform, "p", other.clone()).await?, SENTENCE)?;
            let labels = json!({ "metadata": { "labels": { "a": "b" } } });
            let labelled = json!({ "spec": { "template": labels } });
            refused(patch(&platform, "p", labelled).await?, SENTENCE)?;
            fine(patch(&admin, "p", other).await?)?;
            let now: DuckWorkerPool = ns.api().get("p").await?;
            ensure!(now.spec.replicas == 3 && now.metadata.generation == Some(4), "{now:?}");
            Ok(())
        })
        .await
}
