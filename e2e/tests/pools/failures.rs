//! Workers that do not start: told, tried again after pauses, and mended at once.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerPool};
use duckworker_e2e::pool::{
    await_count, change, pool, says, with_annotations, workers, workers_of,
};
use duckworker_e2e::scenario::{await_event, controller, forbid_pods, scenario};
use duckworker_e2e::worker::{plain, state};
use duckworker_e2e::{annotation, await_list};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

/// A pool whose images never come, and whose workers give up after a second.
fn bad(replicas: i64, max_workers: i64) -> Value {
    let bad = pool("p", replicas, max_workers);
    let mut bad = with_annotations(bad, &json!({ annotation::IMAGE_PULL: "fail" }));
    bad["spec"]["template"]["spec"]["startupTimeoutSeconds"] = json!(1);
    bad["spec"]["spawn"] = json!({ "backoffSeconds": 3600, "maxBackoffSeconds": 3600 });
    bad
}

#[tokio::test]
async fn a_bad_image_backs_off_and_a_mended_one_recovers_at_once() -> Result<()> {
    scenario("pool-bad-image", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(bad(3, 5)).await?;
        let degraded = says("Degraded", "True", "ImagePullFailed");
        await_count(ns, "p", "Retired", 3).await?;
        let freed = |pool: &DuckWorkerPool| {
            degraded(pool) && pool.status.as_ref().is_some_and(|s| s.ordinals.taken.is_empty())
        };
        let pool: DuckWorkerPool = ns.await_object("p", "backing off", freed).await?;
        ensure!(pool.status.context("a status")?.ordinals.next == 3, "no more were tried");
        await_event(ns, "p", "WorkersFail").await?;
        ensure!(workers(ns, "p").await?.len() == 3);
        // The pause is an hour; a mended template does not wait for it.
        let mended =
            json!({ "spec": { "template": { "spec": { "template": { "metadata": null } } } } });
        change(ns, "p", mended).await?;
        await_count(ns, "p", "Idle", 3).await?;
        let well = says("Degraded", "False", "WorkersStart");
        ns.await_object("p", "well", well).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_pauses_survive_the_leader() -> Result<()> {
    scenario("pool-backoff-leader", async |ns| {
        let first = controller(ns)?;
        ns.create::<DuckWorkerPool>(bad(1, 5)).await?;
        await_count(ns, "p", "Retired", 1).await?;
        first.kill().await;
        let _second = controller(ns)?;
        let freed = |pool: &DuckWorkerPool| {
            pool.status.as_ref().is_some_and(|s| s.ordinals.taken.is_empty() && s.ordinals.next > 0)
        };
        ns.await_object::<DuckWorkerPool>("p", "looked after", freed).await?;
        // Another pool is filled by the same controller meanwhile: it is at work, and does not try.
        ns.create::<DuckWorkerPool>(pool("q", 1, 1)).await?;
        await_count(ns, "q", "Idle", 1).await?;
        ensure!(workers(ns, "p").await?.len() == 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_quota_admits_half_of_the_pool_and_then_all() -> Result<()> {
    scenario("pool-quota", async |ns| {
        let _controller = controller(ns)?;
        forbid_pods(ns, "none").await?;
        ns.api::<ResourceQuota>()
            .patch(
                "none",
                &kube::api::PatchParams::default(),
                &kube::api::Patch::Merge(json!({ "spec": { "hard": { "pods": "2" } } })),
            )
            .await?;
        let mut quick = pool("p", 4, 10);
        quick["spec"]["template"]["spec"]["startupTimeoutSeconds"] = json!(2);
        quick["spec"]["spawn"] = json!({ "backoffSeconds": 1, "maxBackoffSeconds": 1 });
        ns.create::<DuckWorkerPool>(quick).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let degraded = says("Degraded", "True", "QuotaExceeded");
        ns.await_object::<DuckWorkerPool>("p", "told", degraded).await?;
        ns.api::<ResourceQuota>().delete("none", &DeleteParams::default()).await?;
        await_count(ns, "p", "Idle", 4).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_name_that_is_taken_is_told_and_left_alone() -> Result<()> {
    scenario("pool-name-taken", async |ns| {
        let created = ns.create::<DuckWorkerPool>(pool("p", 1, 10)).await?;
        let key = duckworker_api::pool::parse::key(&created.metadata)?;
        let name = key.worker_name(duckworker_core::Ordinal::default());
        let stranger: DuckWorker = serde_json::from_value(plain(&name))?;
        let stranger = ns.api().create(&PostParams::default(), &stranger).await?;
        let _controller = controller(ns)?;
        let refused = says("Degraded", "True", "WorkerRefused");
        ns.await_object::<DuckWorkerPool>("p", "told", refused).await?;
        let idle = |w: &DuckWorker| state(w) == "Idle";
        let now: DuckWorker = ns.await_object(&name, "idle by itself", idle).await?;
        ensure!(now.uid() == stranger.uid() && now.owner_references().is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn crashed_workers_are_replaced_with_pauses() -> Result<()> {
    scenario("pool-crashes", async |ns| {
        let _controller = controller(ns)?;
        let crashing =
            with_annotations(pool("p", 1, 10), &json!({ annotation::CRASH_AFTER: "50ms" }));
        let mut crashing = crashing;
        crashing["spec"]["spawn"] = json!({ "backoffSeconds": 1, "maxBackoffSeconds": 3600 });
        ns.create::<DuckWorkerPool>(crashing).await?;
        let three = |all: &[DuckWorker]| all.iter().filter(|w| state(w) == "Lost").count() >= 3;
        let all = await_list(&ns.api(), &workers_of("p"), "lost three times", three).await?;
        ensure!(all.len() <= 4, "one at a time");
        ns.await_object::<DuckWorkerPool>("p", "told", says("Degraded", "True", "Crashed")).await?;
        Ok(())
    })
    .await
}
