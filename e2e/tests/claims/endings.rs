//! A claim that is gone gives its worker back, wherever it was on its way.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::claim::{bind, claim, condition, is, waits_for, worker_of};
use duckworker_e2e::pool::{await_count, pool, with_annotations, workers_of};
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_e2e::worker::state;
use duckworker_e2e::{annotation, await_gone, await_list};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

#[tokio::test]
async fn a_released_worker_of_a_pool_without_reuse_drains() -> Result<()> {
    scenario("claim-no-reuse", async |ns| {
        let _controller = controller(ns)?;
        let mut once = pool("p", 1, 10);
        once["spec"]["reuse"] = json!("Never");
        ns.create::<DuckWorkerPool>(once).await?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        ns.api::<DuckWorkerClaim>().delete("c", &DeleteParams::default()).await?;
        let retired = |w: &DuckWorker| state(w) == "Retired";
        let worker: DuckWorker = ns.await_object(worker_of(&bound)?, "retired", retired).await?;
        let drained = worker.status.iter().flat_map(|s| &s.transitions);
        ensure!(drained.into_iter().any(|t| t.reason.as_deref() == Some("Released")));
        let secrets = ns.api::<Secret>();
        await_list(&secrets, &kube::runtime::watcher::Config::default(), "without it", |all| {
            !all.iter().any(|secret| secret.name_any() == "c-conn")
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_gives_up_leaves_the_worker_to_the_next() -> Result<()> {
    scenario("claim-gives-up", async |ns| {
        let _controller = controller(ns)?;
        let slow = with_annotations(pool("p", 0, 10), &json!({ annotation::START_DELAY: "3s" }));
        ns.create::<DuckWorkerPool>(slow).await?;
        let mut hasty = claim("c", "p", "acme");
        hasty["spec"]["timeoutSeconds"] = json!(1);
        ns.create::<DuckWorkerClaim>(hasty).await?;
        let failed: DuckWorkerClaim = ns.await_object("c", "Failed", is("Failed")).await?;
        let stalled = condition(&failed, "Stalled").context("Stalled")?;
        ensure!(stalled.reason == "Timeout" && stalled.status == "True");
        // Its worker comes too late for it, and in time for the next.
        let mut next = claim("d", "p", "acme");
        next["spec"]["timeoutSeconds"] = json!(30);
        let bound = bind(ns, next).await?;
        let workers = ns.api::<DuckWorker>().list(&ListParams::default()).await?;
        ensure!(workers.items.len() == 1, "no second one was started");
        ensure!(worker_of(&bound)? == workers.items[0].name_any());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn claims_that_come_and_go_leave_nothing_behind() -> Result<()> {
    scenario("claim-churn", async |ns| {
        let _controller = controller(ns)?;
        let mut quick = pool("p", 3, 20);
        quick["spec"]["hotIdle"] = json!({ "ttlSeconds": 1 });
        ns.create::<DuckWorkerPool>(quick).await?;
        for round in 0..5 {
            for number in 0..4 {
                let name = format!("c{round}-{number}");
                ns.create::<DuckWorkerClaim>(claim(&name, "p", &format!("t{number}"))).await?;
            }
            // Some are gone before they are bound, some in mid-activation, some after.
            for number in 0..4 {
                let name = format!("c{round}-{number}");
                if number == 3 {
                    ns.await_object::<DuckWorkerClaim>(&name, "Ready", is("Ready")).await?;
                }
                ns.api::<DuckWorkerClaim>().delete(&name, &DeleteParams::default()).await?;
            }
        }
        let at_rest = |all: &[DuckWorker]| {
            all.iter().all(|w| matches!(state(w), "Idle" | "Retired"))
                && all.iter().filter(|w| state(w) == "Idle").count() == 3
        };
        await_list(&ns.api(), &workers_of("p"), "at rest", at_rest).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pool_that_is_deleted_with_bound_claims_drains_its_workers() -> Result<()> {
    scenario("claim-pool-deleted", async |ns| {
        let _controller = controller(ns)?;
        let made = ns.create::<DuckWorkerPool>(pool("p", 1, 10)).await?;
        bind(ns, claim("c", "p", "acme")).await?;
        ns.kubectl(&["delete", "dwp", "p", "--wait=false"]).await?.ok()?;
        await_gone(&ns.api(), &made).await?;
        await_list(&ns.api::<DuckWorker>(), &workers_of("p"), "gone", <[_]>::is_empty).await?;
        let waits = waits_for("PoolNotFound");
        ns.await_object::<DuckWorkerClaim>("c", "waiting", waits).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_claim_on_a_pool_that_is_being_deleted_waits_and_says_so() -> Result<()> {
    scenario("claim-pool-deleting", async |ns| {
        let _controller = controller(ns)?;
        let slow = with_annotations(pool("p", 1, 10), &json!({ annotation::STOP_DELAY: "2s" }));
        let made = ns.create::<DuckWorkerPool>(slow.clone()).await?;
        await_count(ns, "p", "Idle", 1).await?;
        // It is there until its workers are gone.
        let foreground = ["delete", "dwp", "p", "--cascade=foreground", "--wait=false"];
        ns.kubectl(&foreground).await?.ok()?;
        ns.create::<DuckWorkerClaim>(claim("c", "p", "acme")).await?;
        let waits = waits_for("PoolDeleting");
        let waiting: DuckWorkerClaim = ns.await_object("c", "waiting", waits).await?;
        let message = condition(&waiting, "Ready").map(|c| c.message.clone()).unwrap_or_default();
        ensure!(message.contains("is being deleted"), "{message}");
        await_gone(&ns.api(), &made).await?;
        ns.create::<DuckWorkerPool>(slow).await?;
        ns.await_object::<DuckWorkerClaim>("c", "Ready", is("Ready")).await?;
        Ok(())
    })
    .await
}
