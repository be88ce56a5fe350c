//! A changed template replaces idle workers little by little.

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerPool};
use duckworker_client::Origin;
use duckworker_e2e::annotation;
use duckworker_e2e::await_list;
use duckworker_e2e::pool::{
    await_count, change, condition, image, image_of, pool, says, with_annotations, workers,
    workers_of,
};
use duckworker_e2e::scenario::{ControlPlane, await_event, controller, scenario, won};
use duckworker_e2e::worker::{reason, state};
use kube::ResourceExt as _;
use serde_json::json;

const OLD: &str = "example.invalid/duckdb:1";
const NEW: &str = "example.invalid/duckdb:2";

fn idle_of(workers: &[DuckWorker], image: &str) -> usize {
    workers.iter().filter(|w| state(w) == "Idle" && image_of(w).is_ok_and(|i| i == image)).count()
}

#[tokio::test]
async fn a_new_image_replaces_all_but_the_busy() -> Result<()> {
    scenario("pool-rollout", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 3, 10)).await?;
        let idle = await_count(ns, "p", "Idle", 3).await?;
        let owner = ControlPlane::register(ns).await?;
        let hot = owner.serve(&idle[0], "acme").await?;
        let parked = owner.serve(&idle[1], "acme").await?;
        won(owner.lifecycle.release(&parked, Origin::Library).await?)?;
        await_count(ns, "p", "Idle", 3).await?;
        change(ns, "p", image(NEW)).await?;
        let replaced = |all: &[DuckWorker]| {
            idle_of(all, NEW) == 3
                && idle_of(all, OLD) == 0
                && !all.iter().any(|w| state(w) == "HotIdle")
        };
        let all = await_list(&ns.api(), &workers_of("p"), "replaced", replaced).await?;
        let retired: Vec<_> = all.iter().filter(|w| state(w) == "Retired").collect();
        ensure!(retired.iter().all(|w| reason(w) == Some("OutOfDate")), "and only for that");
        ensure!(all.iter().any(|w| state(w) == "Hot" && image_of(w).is_ok_and(|i| i == OLD)));
        ns.await_object::<DuckWorkerPool>("p", "done", says("Ready", "True", "AsWanted")).await?;
        // When it parks, it goes too.
        won(owner.lifecycle.release(&hot, Origin::Library).await?)?;
        let none = |all: &[DuckWorker]| !all.iter().any(|w| matches!(state(w), "Hot" | "HotIdle"));
        await_list(&ns.api(), &workers_of("p"), "retired", none).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_paused_pool_keeps_its_workers() -> Result<()> {
    scenario("pool-paused", async |ns| {
        let _controller = controller(ns)?;
        let mut paused = pool("p", 2, 10);
        paused["spec"]["paused"] = json!(true);
        ns.create::<DuckWorkerPool>(paused).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let mut patch = image(NEW);
        patch["spec"]["replicas"] = json!(3);
        change(ns, "p", patch).await?;
        let all = await_count(ns, "p", "Idle", 3).await?;
        ensure!(idle_of(&all, OLD) == 2 && idle_of(&all, NEW) == 1);
        change(ns, "p", json!({ "spec": { "paused": false } })).await?;
        let replaced = |all: &[DuckWorker]| idle_of(all, NEW) == 3 && idle_of(all, OLD) == 0;
        await_list(&ns.api(), &workers_of("p"), "replaced", replaced).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_bad_template_costs_no_more_than_it_may_and_is_told() -> Result<()> {
    scenario("pool-bad-rollout", async |ns| {
        let _controller = controller(ns)?;
        let mut first = pool("p", 3, 10);
        first["spec"]["progressDeadlineSeconds"] = json!(2);
        ns.create::<DuckWorkerPool>(first).await?;
        await_count(ns, "p", "Idle", 3).await?;
        let bad = with_annotations(pool("p", 3, 10), &json!({ annotation::IMAGE_PULL: "fail" }));
        change(ns, "p", json!({ "spec": { "template": bad["spec"]["template"] } })).await?;
        let stalled = says("Stalled", "True", "ProgressDeadlineExceeded");
        let pool: DuckWorkerPool = ns.await_object("p", "stalled", stalled).await?;
        let message = condition(&pool, "Stalled").map(|c| c.message.clone()).unwrap_or_default();
        ensure!(message.contains("ImagePullFailed"), "{message}");
        let all = workers(ns, "p").await?;
        ensure!(idle_of(&all, OLD) == 2, "maxUnavailable is 1");
        await_event(ns, "p", "RolloutFailed").await?;
        let good = duckworker_e2e::pool::pool("p", 3, 10);
        change(ns, "p", json!({ "spec": { "template": { "spec": { "template": {
            "metadata": null, "spec": good["spec"]["template"]["spec"]["template"]["spec"] } } } } }))
        .await?;
        await_count(ns, "p", "Idle", 3).await?;
        let back = |pool: &DuckWorkerPool| {
            condition(pool, "Stalled").is_none() && says("Ready", "True", "AsWanted")(pool)
        };
        ns.await_object("p", "mended", back).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_template_says_of_tomorrow_reaches_the_worker() -> Result<()> {
    scenario("pool-raw", async |ns| {
        let _controller = controller(ns)?;
        let mut marked = pool("p", 1, 10);
        marked["spec"]["template"]["metadata"] =
            json!({ "labels": { "team": "a" }, "annotations": { "note": "b" } });
        ns.create::<DuckWorkerPool>(marked).await?;
        let idle = await_count(ns, "p", "Idle", 1).await?;
        ensure!(idle[0].labels().get("team").is_some_and(|team| team == "a"));
        ensure!(idle[0].annotations().get("note").is_some_and(|note| note == "b"));
        ensure!(
            idle[0].spec.drain_timeout_seconds == 5 && idle[0].spec.startup_timeout_seconds == 300
        );
        // Defaults come in when a worker is made: a pool is stored as it was written.
        let text = ns.kubectl(&["get", "dwp", "p", "-o", "jsonpath={.spec.template.spec}"]).await?;
        ensure!(!text.ok()?.contains("startupTimeoutSeconds"));
        Ok(())
    })
    .await
}
