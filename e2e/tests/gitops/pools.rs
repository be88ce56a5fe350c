//! The lives of pools.

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::claim::{bind, claim};
use duckworker_e2e::pool::{await_count, change, image, pool, says, with_annotations};
use duckworker_e2e::recorder::Recorder;
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_e2e::{annotation, await_gone};
use duckworker_history::line;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::judged::{
    CURRENT, FAILED, IN_PROGRESS, Judged, TERMINATING, course, judged, of_any_kind,
};

/// A pool whose rollouts fail after two seconds.
fn hasty(name: &str, replicas: i64) -> Value {
    let mut hasty = pool(name, replicas, 10);
    hasty["spec"]["progressDeadlineSeconds"] = json!(2);
    hasty
}

/// The same with images that never come.
fn bad(name: &str, replicas: i64) -> Value {
    with_annotations(hasty(name, replicas), &json!({ annotation::IMAGE_PULL: "fail" }))
}

/// Checks that no version was called current too early: enough workers are idle, at least one if any
/// are wanted, or there are as many as may be.
fn check(all: &[Judged]) -> Result<()> {
    for Judged { object, verdict } in all {
        if let Some(truth) = of_any_kind(object) {
            ensure!(verdict == truth, "said {verdict}, is {truth}: {object:#}");
            continue;
        }
        let pool: DuckWorkerPool = serde_json::from_value(object.clone())?;
        let (spec, Some(status)) = (&pool.spec, &pool.status) else { continue };
        let wanted = spec.replicas - spec.update_strategy.max_unavailable;
        let enough = status.workers.idle >= wanted.max(spec.replicas.min(1));
        let full = i64::try_from(status.ordinals.taken.len())? >= spec.max_workers;
        ensure!(verdict != CURRENT || enough || full, "this is not current: {object:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_rollout_is_failed_until_it_is_mended() -> Result<()> {
    scenario("kstatus-rollout", async |ns| {
        let recorder = Recorder::start(&ns.client, &ns.name).await?;
        ns.create::<DuckWorkerPool>(hasty("p", 3)).await?;
        let _controller = controller(ns)?;
        await_count(ns, "p", "Idle", 3).await?;
        let wanted = || says("Ready", "True", "AsWanted");
        ns.await_object("p", "as wanted", wanted()).await?;
        let template = |pool: Value| json!({ "spec": { "template": pool["spec"]["template"] } });
        change(ns, "p", template(bad("p", 3))).await?;
        let stalled = says("Stalled", "True", "ProgressDeadlineExceeded");
        ns.await_object("p", "stalled", stalled).await?;
        let mut mended = template(hasty("p", 3));
        mended["spec"]["template"]["spec"]["template"]["metadata"] = json!(null);
        change(ns, "p", mended).await?;
        ns.await_object("p", "as wanted", wanted()).await?;
        await_count(ns, "p", "Idle", 3).await?;

        let all = judged(ns, recorder, line::POOLS).await?;
        check(&all)?;
        let expected = [IN_PROGRESS, CURRENT, IN_PROGRESS, FAILED, IN_PROGRESS, CURRENT];
        ensure!(course(&all, "p") == expected, "{:?}", course(&all, "p"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pool_whose_first_workers_do_not_start_is_never_current() -> Result<()> {
    scenario("kstatus-first", async |ns| {
        let recorder = Recorder::start(&ns.client, &ns.name).await?;
        let _controller = controller(ns)?;
        for (name, replicas) in [("one", 1), ("three", 3)] {
            ns.create::<DuckWorkerPool>(bad(name, replicas)).await?;
        }
        for name in ["one", "three"] {
            let stalled = says("Stalled", "True", "ProgressDeadlineExceeded");
            ns.await_object(name, "stalled", stalled).await?;
        }
        let all = judged(ns, recorder, line::POOLS).await?;
        check(&all)?;
        for name in ["one", "three"] {
            let course = course(&all, name);
            ensure!(course == [IN_PROGRESS, FAILED], "{name}: {course:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn claimed_workers_hold_no_pool_up() -> Result<()> {
    scenario("kstatus-claimed", async |ns| {
        let recorder = Recorder::start(&ns.client, &ns.name).await?;
        let _controller = controller(ns)?;
        // One has all its workers in use; of the other's, one that is in use is of an older template.
        ns.create::<DuckWorkerPool>(pool("full", 1, 1)).await?;
        let created = ns.create::<DuckWorkerPool>(pool("p", 1, 10)).await?;
        for name in ["full", "p"] {
            bind(ns, claim(&format!("c-{name}"), name, "acme")).await?;
        }
        ns.await_object("full", "full", says("Ready", "True", "PoolAtMax")).await?;
        change(ns, "p", image("example.invalid/duckdb:2")).await?;
        ns.await_object("p", "as wanted", says("Ready", "True", "AsWanted")).await?;
        await_count(ns, "p", "Hot", 1).await?;
        ns.api::<DuckWorkerClaim>().delete("c-p", &DeleteParams::default()).await?;
        ns.api::<DuckWorkerPool>().delete("p", &DeleteParams::foreground()).await?;
        await_gone(&ns.api(), &created).await?;

        let all = judged(ns, recorder, line::POOLS).await?;
        check(&all)?;
        ensure!(course(&all, "full").ends_with(&[CURRENT]), "{:?}", course(&all, "full"));
        ensure!(course(&all, "p").ends_with(&[CURRENT, TERMINATING]), "{:?}", course(&all, "p"));
        Ok(())
    })
    .await
}
