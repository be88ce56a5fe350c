//! What a tenant says of its parked workers goes before what the pool says.

use anyhow::{Result, ensure};
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::claim::{bind, claim, worker_of};
use duckworker_e2e::pool::{await_count, pool};
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_e2e::worker::{reason, state};
use kube::api::DeleteParams;
use serde_json::json;

use crate::tenant;

#[tokio::test]
async fn a_tenant_says_itself_how_long_its_parked_workers_stay() -> Result<()> {
    scenario("wish-ttl", async |ns| {
        let _controller = controller(ns)?;
        let brief = json!({ "hotIdle": { "ttlSeconds": 0 } });
        ns.create::<DuckTenant>(tenant("brief", &brief)).await?;
        let mut pool = pool("p", 2, 9);
        pool["spec"]["hotIdle"] = json!({ "ttlSeconds": 3600 });
        ns.create::<DuckWorkerPool>(pool).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let long = bind(ns, claim("a", "p", "patient")).await?;
        let short = bind(ns, claim("b", "p", "brief")).await?;
        for name in ["a", "b"] {
            ns.api::<DuckWorkerClaim>().delete(name, &DeleteParams::default()).await?;
        }
        let over = |worker: &DuckWorker| state(worker) == "Retired";
        let ended: DuckWorker = ns.await_object(worker_of(&short)?, "Retired", over).await?;
        ensure!(reason(&ended) == Some("HotIdleExpired"), "{:?}", reason(&ended));
        let kept: DuckWorker = ns.api().get(worker_of(&long)?).await?;
        ensure!(state(&kept) == "HotIdle", "{}", state(&kept));
        Ok(())
    })
    .await
}
