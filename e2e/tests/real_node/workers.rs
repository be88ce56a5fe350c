//! A worker's life with a real pod.

use std::time::Instant;

use anyhow::{Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::await_gone;
use duckworker_e2e::real::stub::{self, ask, containers};
use duckworker_e2e::real::{Ran, real_scenario};
use duckworker_e2e::scenario::{await_nothing_left, controller};
use duckworker_e2e::worker::is;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;

#[tokio::test]
async fn a_worker_becomes_idle_and_goes_without_a_trace() -> Result<Ran> {
    real_scenario("real-worker", async |ns| {
        let controller = controller(ns)?;
        let started = Instant::now();
        let created = ns.create::<DuckWorker>(stub::worker("w1")).await?;
        ns.await_object("w1", "Idle", is("Idle")).await?;
        eprintln!("a real worker is idle after {} ms", started.elapsed().as_millis());
        let pod = ns.api::<Pod>().get("w1").await?;
        let answer = ask(&pod, "GET /").await?;
        ensure!(answer.contains("stub w1"), "{answer}");
        let containers = containers(&pod);
        ensure!(containers.len() == 1, "{containers:?}");

        let started = Instant::now();
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &created).await?;
        eprintln!("and gone after {} ms", started.elapsed().as_millis());
        await_nothing_left(ns).await?;
        ns.cluster.real_node()?.await_ended(&containers).await?;
        controller.stop().await
    })
    .await
}
