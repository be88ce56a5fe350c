//! A worker that is deleted while it is at work: what runs is finished within the time that its spec
//! gives, and no longer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::await_gone;
use duckworker_e2e::real::duckdb::dedicated;
use duckworker_e2e::real::stub::containers;
use duckworker_e2e::real::{Ran, real_scenario};
use duckworker_e2e::scenario::controller;
use duckworker_e2e::sql::{ENDLESS, long_query, refusal, table};
use duckworker_e2e::worker::is;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tonic::Code;

use super::{ROWS, await_no_trace, serving};

/// The end of a process that has nothing to do any more, and then of its pod. Clients that keep
/// their connections open are given some seconds of it.
const ENDING: Duration = Duration::from_secs(15);

/// A worker that waited for nobody would be gone by now, with all that it gives its clients.
const LONG: u64 = 6;

fn uptime(health: &Value) -> Result<u64> {
    health["uptime_seconds"].as_u64().context("no uptime")
}

fn with_grace(grace: Duration) -> Value {
    let mut worker = dedicated("w1", "acme");
    worker["spec"]["drainTimeoutSeconds"] = json!(grace.as_secs());
    worker
}

/// Deletes the worker and waits until its pod is told to stop.
async fn delete(ns: &TestNamespace<'_>) -> Result<()> {
    ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
    ns.await_object("w1", "Draining", is("Draining")).await?;
    let told = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    ns.await_object("w1", "told to stop", told).await.map(drop)
}

#[tokio::test]
async fn a_query_and_its_session_are_finished_before_the_worker_goes() -> Result<Ran> {
    real_scenario("duckdb-drain", async |ns| {
        let _controller = controller(ns)?;
        let grace = Duration::from_mins(1);
        let serving = serving(ns, with_grace(grace), "").await?;
        let (mut sql, mut other) =
            (serving.access.connect().await?, serving.access.connect().await?);
        let session = sql.begin_session().await?;
        sql.rows("CREATE TEMP TABLE mine AS SELECT 7 AS a").await?;
        other.rows("SELECT 1").await?;
        let query = sql.begin(&long_query(ROWS)).await?;

        delete(ns).await?;
        other.await_health("drains", |health| health["draining"] == true).await?;
        let then = uptime(&other.health().await?)?;
        let later = |health: &Value| uptime(health).is_ok_and(|now| now > then + LONG);
        other.await_health("is at work for long", later).await?;
        let refused = refusal(other.rows("SELECT 1").await)?;
        ensure!(refused == Code::Unavailable, "something new was {refused:?}");
        ensure!(query.taken() < ROWS / 2, "{} rows were on their way", query.taken());
        ensure!(query.finish().await? == ROWS, "rows are missing");
        let shown = table(&sql.rows("SELECT a FROM mine").await?)?;
        ensure!(shown.contains("| 7 |"), "the session is over: {shown}");
        let still: Pod = ns.api().get("w1").await?;
        ensure!(still.uid() == serving.pod.uid(), "the pod did not wait for the session");
        let running = ns.cluster.real_node()?.containers().await?;
        let container = containers(&serving.pod).pop().context("a container")?;
        ensure!(running.contains(&container), "the worker did not wait for the session");

        sql.end_session(session).await?;
        let ended = Instant::now();
        await_gone(&ns.api(), &serving.worker).await?;
        let took = ended.elapsed();
        eprintln!("drain: the worker is gone {} ms after its last session", took.as_millis());
        ensure!(took < ENDING && ENDING < grace, "gone after {took:?}");
        await_no_trace(ns, &serving.pod).await
    })
    .await
}

#[tokio::test]
async fn a_query_that_takes_longer_than_the_grace_is_cut_off() -> Result<Ran> {
    real_scenario("duckdb-cut-off", async |ns| {
        let _controller = controller(ns)?;
        let grace = Duration::from_secs(4);
        let serving = serving(ns, with_grace(grace), "").await?;
        let (sql, mut client) = (serving.access.connect().await?, serving.access.connect().await?);
        let query = tokio::spawn(async move { client.rows(ENDLESS).await });
        sql.await_health("works", |health| health["active_queries"] == 1).await?;

        let asked = Instant::now();
        delete(ns).await?;
        let code = refusal(query.await?)?;
        let cut = asked.elapsed();
        await_gone(&ns.api(), &serving.worker).await?;
        let gone = asked.elapsed();
        let (cut_ms, gone_ms) = (cut.as_millis(), gone.as_millis());
        eprintln!("drain: cut off ({code:?}) after {cut_ms} ms, gone after {gone_ms} ms of 4 s");
        // The worker knows its grace, and tells its clients a moment before it is killed.
        ensure!(code == Code::Unavailable, "the client is told {code:?}");
        ensure!(cut >= grace / 2, "it was not given its time: {cut:?}");
        ensure!(gone < grace + ENDING, "gone after {gone:?}");
        await_no_trace(ns, &serving.pod).await
    })
    .await
}
