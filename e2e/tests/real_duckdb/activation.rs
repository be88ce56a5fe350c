//! A tenant's statements, from the apply of its worker until that is Hot, and one that fails.

use std::time::Instant;

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorker, parse};
use duckworker_client::{Connection, WorkerProtocol as _};
use duckworker_core::plan::health::Finding;
use duckworker_e2e::await_gone;
use duckworker_e2e::real::duckdb::{dedicated, load, tenant};
use duckworker_e2e::real::{Ran, real_scenario};
use duckworker_e2e::scenario::{await_event, await_nothing_left, controller};
use duckworker_e2e::worker::{is, reason};
use duckworker_flight::Flight;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;

#[tokio::test]
async fn a_tenant_s_duckdb_becomes_hot_is_healthy_and_goes() -> Result<Ran> {
    real_scenario("real-duckdb", async |ns| {
        load(ns).await?;
        let _controller = controller(ns)?;
        tenant(ns, "acme", "CREATE TABLE greetings AS SELECT 'hello' AS word;").await?;
        let started = Instant::now();
        let created = ns.create::<DuckWorker>(dedicated("w1", "acme")).await?;
        let hot: DuckWorker = ns.await_object("w1", "Hot", is("Hot")).await?;
        eprintln!("apply to Hot with a real DuckDB: {} ms", started.elapsed().as_millis());
        let flight = Flight::new(Connection::new(ns.cluster.config()?)?);
        let finding = flight.probe(&parse::worker(&hot)?).await;
        ensure!(finding == Finding::Healthy, "{finding:?}");

        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &created).await?;
        ns.api::<Secret>().delete("acme-activation", &DeleteParams::default()).await?;
        await_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_failed_statement_retires_the_worker_and_is_never_shown() -> Result<Ran> {
    real_scenario("real-activation", async |ns| {
        load(ns).await?;
        let _controller = controller(ns)?;
        tenant(ns, "acme", "SELECT 1; SELECT 'hunter2' FROM nowhere;").await?;
        ns.create::<DuckWorker>(dedicated("w1", "acme")).await?;
        let retired: DuckWorker = ns.await_object("w1", "Retired", is("Retired")).await?;
        ensure!(reason(&retired) == Some("ActivationFailed"), "{:?}", reason(&retired));
        let event = await_event(ns, "w1", "WorkerAbandoned").await?;
        ensure!(event.contains("statement 2"), "{event}");
        let told = format!("{event}{}", serde_json::to_string(&retired)?);
        ensure!(!told.contains("hunter2"), "the statement is shown");
        Ok(())
    })
    .await
}
