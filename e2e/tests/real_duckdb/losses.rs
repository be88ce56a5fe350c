//! What can befall a DuckDB that serves: each time the status and an Event say what it was, within a
//! known time, and nothing is left.

use std::time::Instant;

use anyhow::{Result, ensure};
use duckworker_e2e::TestNamespace;
use duckworker_e2e::real::duckdb::dedicated;
use duckworker_e2e::real::loss::{BY_THE_KUBELET, Loss, by_health_check, signal};
use duckworker_e2e::real::{Ran, real_scenario};
use duckworker_e2e::scenario::controller;
use duckworker_e2e::sql::{long_query, refusal};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{ROWS, Serving, await_no_trace, serving};

/// Takes more than any worker here may have, and nothing of it can lie on a disk.
const GREEDY: &str = "SELECT list(repeat('x', 1000) || i) FROM range(10000000) AS t(i)";

/// A worker with the health check that everybody has: the kubelet is sooner.
fn patient() -> Value {
    let mut worker = dedicated("w1", "acme");
    worker["spec"]["healthCheck"] = json!({});
    worker
}

/// What the kubelet tells, before the health check could.
fn by_the_kubelet(
    worker: &Serving,
    fault: &'static str,
    reason: &'static str,
    sentence: &'static str,
) -> Result<Loss> {
    let check = by_health_check(&worker.worker)?;
    ensure!(check > 2 * BY_THE_KUBELET, "the health check may be sooner: {check:?}");
    Ok(Loss { fault, reason, sentence, within: BY_THE_KUBELET })
}

/// Does something to a worker, half-way through a query.
async fn strike(
    ns: &TestNamespace<'_>,
    worker: &Serving,
    loss: Loss,
    deed: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let query = worker.access.connect().await?.begin(&long_query(ROWS)).await?;
    let struck = Instant::now();
    deed().await?;
    loss.is_told(ns, struck).await?;
    await_no_trace(ns, &worker.pod).await?;
    let left = struck.elapsed();
    eprintln!("{}: nothing is left after {} ms", loss.fault, left.as_millis());
    ensure!(query.finish().await.is_err(), "the query does not know that its worker is gone");
    Ok(())
}

#[tokio::test]
async fn a_duckdb_that_is_killed_is_lost() -> Result<Ran> {
    real_scenario("duckdb-kill-9", async |ns| {
        let _controller = controller(ns)?;
        let worker = serving(ns, patient(), "").await?;
        let sentence = "its process ended by itself";
        let loss = by_the_kubelet(&worker, "DuckDB: kill -9", "Crashed", sentence)?;
        strike(ns, &worker, loss, async || signal(ns, &worker.pod, Signal::KILL)).await
    })
    .await
}

#[tokio::test]
async fn a_duckdb_whose_pod_is_deleted_by_force_is_lost() -> Result<Ran> {
    real_scenario("duckdb-forced", async |ns| {
        let _controller = controller(ns)?;
        let worker = serving(ns, patient(), "").await?;
        let (fault, sentence) = ("DuckDB: pod deleted by force", "its pod is gone");
        let loss = by_the_kubelet(&worker, fault, "PodGone", sentence)?;
        let forced = async || {
            let now = DeleteParams::default().grace_period(0);
            ns.api::<Pod>().delete("w1", &now).await?;
            Ok(())
        };
        strike(ns, &worker, loss, forced).await
    })
    .await
}

/// DuckDB itself would refuse, were it not told that it may take more than its container has.
#[tokio::test]
async fn a_query_that_outgrows_the_container_costs_the_worker() -> Result<Ran> {
    real_scenario("duckdb-memory", async |ns| {
        let _controller = controller(ns)?;
        let mut manifest = patient();
        let container = &mut manifest["spec"]["template"]["spec"]["containers"][0];
        container["args"] = json!(["--memory-limit", "8GB"]);
        container["resources"]["limits"]["memory"] = json!("256Mi");
        let worker = serving(ns, manifest, "").await?;
        let (fault, sentence) = ("DuckDB: out of memory", "it was killed for its memory");
        let loss = by_the_kubelet(&worker, fault, "OutOfMemory", sentence)?;
        // The clock runs from the moment when its client knows that it is dead.
        let outgrown = worker.access.connect().await?.rows(GREEDY).await;
        let struck = Instant::now();
        eprintln!("the client of a query that cost its worker is told {:?}", refusal(outgrown)?);
        loss.is_told(ns, struck).await?;
        await_no_trace(ns, &worker.pod).await
    })
    .await
}

#[tokio::test]
async fn a_duckdb_whose_process_hangs_is_lost_by_its_health_check() -> Result<Ran> {
    real_scenario("duckdb-hang", async |ns| {
        let _controller = controller(ns)?;
        let mut manifest = dedicated("w1", "acme");
        // A process that hangs does not end when it is told to, and is given all of its time.
        manifest["spec"]["drainTimeoutSeconds"] = json!(2);
        let worker = serving(ns, manifest, "").await?;
        let loss = Loss {
            fault: "DuckDB: SIGSTOP",
            reason: "Unhealthy",
            sentence: "its health check failed",
            within: by_health_check(&worker.worker)?,
        };
        strike(ns, &worker, loss, async || signal(ns, &worker.pod, Signal::STOP)).await
    })
    .await
}
