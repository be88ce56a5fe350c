//! A pool has as many idle workers as it shall.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerPool};
use duckworker_e2e::claim::{bind, claim, worker_of};
use duckworker_e2e::pool::{
    await_count, change, counts_idle, pool, says, with_annotations, workers, workers_of,
};
use duckworker_e2e::scenario::{
    ControlPlane, await_nothing_left, controller, nothing_is_left, scenario, won,
};
use duckworker_e2e::worker::{is, reason, state};
use duckworker_e2e::{annotation, await_gone, await_list};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;

#[tokio::test]
async fn a_pool_fills_itself_and_refills_what_is_claimed() -> Result<()> {
    scenario("pool-fills", async |ns| {
        let _controller = controller(ns)?;
        ns.kubectl_apply_str(&pool("p", 3, 10).to_string()).await?.ok()?;
        let idle = await_count(ns, "p", "Idle", 3).await?;
        let full: DuckWorkerPool = ns.await_object("p", "full", counts_idle(3)).await?;
        let status = full.status.context("a status")?;
        ensure!(status.replicas == 3 && status.updated_replicas == 3, "{status:?}");
        let seated: Vec<_> = status.ordinals.taken.iter().filter_map(|s| s.uid.clone()).collect();
        ensure!(idle.iter().all(|w| seated.contains(&w.uid().unwrap_or_default())));
        ns.await_object::<DuckWorkerPool>("p", "ready", says("Ready", "True", "AsWanted")).await?;
        let owner = ControlPlane::register(ns).await?;
        let _lease = owner.serve(&idle[0], "acme").await?;
        let all = await_count(ns, "p", "Idle", 3).await?;
        ensure!(all.len() == 4, "one more than before: {}", all.len());
        let pod = ns.api::<Pod>().get(&idle[0].name_any()).await?;
        ensure!(pod.labels().get("duckworker.dev/pool").is_some_and(|p| p == "p"));
        let table = ns.kubectl(&["get", "dwp"]).await?.ok()?;
        ensure!(table.lines().all(|line| line.len() <= 100), "{table}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn kubectl_scales_a_pool_both_ways() -> Result<()> {
    scenario("pool-scale", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 1, 10)).await?;
        await_count(ns, "p", "Idle", 1).await?;
        ns.kubectl(&["scale", "dwp/p", "--replicas=4"]).await?.ok()?;
        let four = await_count(ns, "p", "Idle", 4).await?;
        let owner = ControlPlane::register(ns).await?;
        let _lease = owner.serve(&four[0], "acme").await?;
        await_count(ns, "p", "Idle", 4).await?;
        ns.kubectl(&["scale", "dwp/p", "--replicas=0"]).await?.ok()?;
        let none = |all: &[DuckWorker]| all.iter().all(|w| matches!(state(w), "Hot" | "Retired"));
        let left = await_list(&ns.api(), &workers_of("p"), "ended", none).await?;
        ensure!(left.iter().filter(|w| state(w) == "Hot").count() == 1, "the busy one stays");
        let ended: Vec<_> = left.iter().filter(|w| state(w) == "Retired").collect();
        ensure!(ended.len() == 4 && ended.iter().all(|w| reason(w) == Some("ScaledDown")));
        let refusal = ns.kubectl(&["scale", "dwp/p", "--replicas=11"]).await?.refused()?;
        ensure!(refusal.contains("must not be greater than spec.maxWorkers"), "{refusal}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn scaling_down_ends_what_still_starts_first() -> Result<()> {
    scenario("pool-shrinks-starting", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 2, 10)).await?;
        let idle = await_count(ns, "p", "Idle", 2).await?;
        let slow = with_annotations(pool("p", 5, 10), &json!({ annotation::NEVER_READY: "true" }));
        // Paused, so that the idle ones of the older template stay.
        let patch = json!({ "spec": { "paused": true, "replicas": 5,
                                      "template": slow["spec"]["template"] } });
        change(ns, "p", patch).await?;
        await_count(ns, "p", "Spawning", 3).await?;
        let back = json!({ "spec": { "template": { "metadata": null } } });
        change(ns, "p", json!({ "spec": { "replicas": 2, "template": back } })).await?;
        await_count(ns, "p", "Spawning", 0).await?;
        for worker in &idle {
            let now: DuckWorker = ns.api().get(&worker.name_any()).await?;
            ensure!(state(&now) == "Idle", "{} is {}", now.name_any(), state(&now));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn finished_workers_of_a_pool_go_after_their_time() -> Result<()> {
    scenario("pool-ttl", async |ns| {
        let _controller = controller(ns)?;
        let mut quick = pool("p", 1, 10);
        quick["spec"]["template"]["spec"]["ttlSecondsAfterFinished"] = json!(1);
        ns.create::<DuckWorkerPool>(quick).await?;
        let idle = await_count(ns, "p", "Idle", 1).await?;
        ns.api::<Pod>().delete(&idle[0].name_any(), &DeleteParams::default()).await?;
        await_gone(&ns.api(), &idle[0]).await?;
        await_count(ns, "p", "Idle", 1).await?;
        let default = pool("q", 1, 10);
        ns.create::<DuckWorkerPool>(default).await?;
        let other = await_count(ns, "q", "Idle", 1).await?;
        ensure!(other[0].spec.ttl_seconds_after_finished == Some(300));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deleted_pool_takes_its_workers_along() -> Result<()> {
    scenario("pool-deleted", async |ns| {
        let _controller = controller(ns)?;
        let created = ns.create::<DuckWorkerPool>(pool("p", 3, 10)).await?;
        let idle = await_count(ns, "p", "Idle", 3).await?;
        let owner = ControlPlane::register(ns).await?;
        let lease = owner.serve(&idle[0], "acme").await?;
        ns.kubectl(&["delete", "dwp", "p", "--wait=false"]).await?.ok()?;
        await_gone(&ns.api(), &created).await?;
        // Its owner, a control plane, drains the busy one as soon as it likes.
        let name = idle[0].name_any();
        let going = |worker: &DuckWorker| worker.metadata.deletion_timestamp.is_some();
        let busy: DuckWorker = ns.await_object(&name, "going", going).await?;
        ensure!(is("Hot")(&busy), "a deletion does not cut sessions short");
        let reason = duckworker_core::Reason::Deleted;
        let origin = duckworker_client::Origin::Library;
        let _permit = won(owner.lifecycle.drain(&lease, reason, origin).await?)?;
        await_list(&ns.api::<DuckWorker>(), &workers_of("p"), "gone", <[_]>::is_empty).await?;
        await_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn an_orphaning_deletion_leaves_the_workers_alone() -> Result<()> {
    scenario("pool-orphans", async |ns| {
        let _controller = controller(ns)?;
        let created = ns.create::<DuckWorkerPool>(pool("p", 2, 10)).await?;
        let idle = await_count(ns, "p", "Idle", 2).await?;
        ns.kubectl(&["delete", "dwp", "p", "--cascade=orphan"]).await?.ok()?;
        await_gone(&ns.api(), &created).await?;
        // A pool of the same name has names of its own, and leaves them alone.
        ns.create::<DuckWorkerPool>(pool("p", 1, 10)).await?;
        await_count(ns, "p", "Idle", 3).await?;
        for worker in &idle {
            let now: DuckWorker = ns.api().get(&worker.name_any()).await?;
            ensure!(state(&now) == "Idle" && now.uid() == worker.uid());
        }
        ns.api::<DuckWorker>().delete(&idle[0].name_any(), &DeleteParams::default()).await?;
        await_gone(&ns.api(), &idle[0]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn pools_of_one_name_prefix_keep_to_their_own() -> Result<()> {
    scenario("pool-prefix", async |ns| {
        let _controller = controller(ns)?;
        for (name, replicas) in [("p", 2), ("p-0", 3)] {
            ns.create::<DuckWorkerPool>(pool(name, replicas, 5)).await?;
        }
        let short = await_count(ns, "p", "Idle", 2).await?;
        let long = await_count(ns, "p-0", "Idle", 3).await?;
        ensure!(short.len() == 2 && long.len() == 3, "none was taken for the other's");
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        ensure!(short.iter().any(|w| worker_of(&bound).is_ok_and(|name| name == w.name_any())));
        await_count(ns, "p", "Idle", 2).await?;
        let created: DuckWorkerPool = ns.api().get("p").await?;
        ns.api::<DuckWorkerPool>().delete("p", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &created).await?;
        await_list(&ns.api::<DuckWorker>(), &workers_of("p"), "gone", <[_]>::is_empty).await?;
        let left = workers(ns, "p-0").await?;
        let kept = left.iter().filter(|w| state(w) == "Idle").map(ResourceExt::uid);
        ensure!(kept.eq(long.iter().map(ResourceExt::uid)), "the other's were left alone");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pool_of_none_leaves_nothing() -> Result<()> {
    scenario("pool-of-none", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 0, 10)).await?;
        ns.await_object::<DuckWorkerPool>("p", "seen", counts_idle(0)).await?;
        ensure!(workers(ns, "p").await?.is_empty());
        nothing_is_left(ns).await
    })
    .await
}
