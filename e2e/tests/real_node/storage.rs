//! A volume that is full.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::claim::{bind, claim, worker_of};
use duckworker_e2e::pool::await_count;
use duckworker_e2e::real::duckdb::{load, pool, tenant};
use duckworker_e2e::real::{Ran, real_scenario};
use duckworker_e2e::scenario::{await_nothing_left, controller};
use duckworker_e2e::sql::{Access, refusal, table};
use duckworker_e2e::worker::state;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tonic::Code;

/// Needs several times as much room as memory and volume have together.
const GREEDY: &str =
    "SELECT count(*) FROM (SELECT DISTINCT i, md5(i::VARCHAR) FROM range(8000000) t(i))";
/// Needs some of the volume, which has it if nothing was left there.
const MODEST: &str =
    "SELECT count(*) FROM (SELECT DISTINCT i, md5(i::VARCHAR) FROM range(1000000) t(i))";

/// Workers that spill into 48 MiB of memory, which count as the container's own.
fn small() -> Value {
    let mut pool = pool("p", 1, 2);
    let pod = &mut pool["spec"]["template"]["spec"]["template"]["spec"];
    pod["volumes"][0]["emptyDir"] = json!({ "medium": "Memory", "sizeLimit": "48Mi" });
    pod["containers"][0]["args"] = json!(["--memory-limit", "64MB"]);
    pool
}

#[tokio::test]
async fn a_full_volume_fails_the_query_and_not_the_worker() -> Result<Ran> {
    real_scenario("full-volume", async |ns| {
        load(ns).await?;
        let _controller = controller(ns)?;
        tenant(ns, "acme", "").await?;
        ns.create::<DuckWorkerPool>(small()).await?;
        await_count(ns, "p", "Idle", 1).await?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        let name = worker_of(&bound)?;
        let pod: Pod = ns.api().get(name).await?;
        let secret: Secret = ns.api().get("c-conn").await?;
        let mut sql = Access::of(&secret)?.connect().await?;

        for _ in 0..2 {
            let code = refusal(sql.rows(GREEDY).await)?;
            ensure!(code == Code::ResourceExhausted, "{code:?}");
            let shown = table(&sql.rows(MODEST).await?)?;
            ensure!(shown.contains("1000000"), "{shown}");
        }
        let worker: DuckWorker = ns.api().get(name).await?;
        ensure!(state(&worker) == "Hot", "{}", state(&worker));
        let same: Pod = ns.api().get(name).await?;
        ensure!(same.uid() == pod.uid() && restarts(&same)? == 0, "the pod is another");

        ns.api::<DuckWorkerClaim>().delete("c", &DeleteParams::default()).await?;
        ns.api::<DuckWorkerPool>().delete("p", &DeleteParams::default()).await?;
        ns.api::<Secret>().delete("acme-activation", &DeleteParams::default()).await?;
        await_nothing_left(ns).await
    })
    .await
}

fn restarts(pod: &Pod) -> Result<i32> {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    Ok(statuses.context("no containers")?.iter().map(|status| status.restart_count).sum())
}
