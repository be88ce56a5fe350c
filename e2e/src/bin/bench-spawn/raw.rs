//! A fleet for which a plain client makes the same writes.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use duckworker_core::Transition;
use duckworker_e2e::bench::CONCURRENCY;
use duckworker_e2e::bench::fleet::{self, Arrivals};
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::bench::raw::{RawWriter, first_note, ready_note};
use duckworker_e2e::worker::is;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::Round;

/// Applies so many workers, and writes for each what the controller would.
pub async fn round(ground: &Ground, workers: usize) -> Result<Round> {
    let namespace = ground.cluster.create_namespace("raw").await?;
    let writer = RawWriter::new(&ground.account).await?;
    let names = fleet::names(workers);
    let mut pods = fleet::ready_pods(&ground.client()?, &namespace.name, &names);
    let arrivals = Arrivals::watch(&namespace.client, &namespace.name, workers, is("Idle"));
    let slots = Arc::new(Semaphore::new(CONCURRENCY));
    let mut raised = JoinSet::new();
    let asked = fleet::apply(&namespace.client, &namespace.name, &names, |worker| {
        let pod = pods.remove(&worker.name_any());
        raised.spawn(raise(writer.clone(), Arc::clone(&slots), worker, pod));
    })
    .await?;
    while let Some(done) = raised.join_next().await {
        done??;
    }
    Ok(Round { asked, idle: arrivals.all().await? })
}

/// The six writes of one worker. While its pod starts, others have the slot.
async fn raise(
    writer: RawWriter,
    slots: Arc<Semaphore>,
    worker: DuckWorker,
    pod: Option<oneshot::Receiver<Pod>>,
) -> Result<()> {
    let slot = slots.acquire().await?;
    let worker = writer.finalize(&worker).await?;
    let worker = writer.put(&worker, &Transition::AdoptNew).await?;
    let secret = writer.make_secret(&worker).await?;
    let made = writer.make_pod(&worker, &secret).await?;
    let worker = writer.put(&worker, &Transition::Note(first_note(&worker, &made)?)).await?;
    drop(slot);
    let pod = pod.context("a worker of another name")?.await.context("its pod is not seen")?;
    let _slot = slots.acquire().await?;
    writer.put(&worker, &Transition::Ready(ready_note(&worker, &pod)?)).await?;
    Ok(())
}
