//! Claims that find no worker make a pool keep more of them, for a while.

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::await_list;
use duckworker_e2e::claim::{claim, is, source};
use duckworker_e2e::pool::{await_count, count, pool, workers_of};
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_e2e::worker::{reason, state};
use serde_json::json;

#[tokio::test]
async fn a_burst_of_claims_warms_a_pool_for_a_while() -> Result<()> {
    scenario("demand", async |ns| {
        let _controller = controller(ns)?;
        let mut learning = pool("p", 1, 20);
        learning["spec"]["demand"] = json!({ "maxExtra": 2, "windowSeconds": 30 });
        ns.create::<DuckWorkerPool>(learning).await?;
        await_count(ns, "p", "Idle", 1).await?;
        let tenants = ["a", "b", "c", "d"];
        for tenant in tenants {
            ns.create::<DuckWorkerClaim>(claim(tenant, "p", tenant)).await?;
        }
        let mut missed = 0;
        for tenant in tenants {
            let ready: DuckWorkerClaim = ns.await_object(tenant, "Ready", is("Ready")).await?;
            missed += usize::from(source(&ready) == "Cold");
        }
        ensure!(missed == 3, "one of four found a worker: {missed} did not");
        // Three missed, and the spec says two at most.
        await_count(ns, "p", "Idle", 3).await?;
        let calm = |workers: &[DuckWorker]| {
            let ended = workers.iter().filter(|worker| state(worker) == "Retired");
            count(workers, "Idle") == 1
                && ended.filter(|worker| reason(worker) == Some("ScaledDown")).count() >= 2
        };
        let left = await_list(&ns.api(), &workers_of("p"), "calm again", calm).await?;
        ensure!(count(&left, "Hot") == 4, "the claims keep theirs");
        let now: DuckWorkerPool = ns.api().get("p").await?;
        ensure!(now.spec.replicas == 1, "nobody writes into a spec");
        Ok(())
    })
    .await
}
