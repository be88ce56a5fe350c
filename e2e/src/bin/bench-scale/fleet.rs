//! Workers at rest, without anything that runs: every object is there as if it did.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use duckworker_client::{Connection, Instance, InstanceSettings, Role};
use duckworker_core::{Note, Transition};
use duckworker_e2e::bench::CONCURRENCY;
use duckworker_e2e::bench::fleet::{Arrivals, names};
use duckworker_e2e::bench::ground::{Ground, SYSTEM};
use duckworker_e2e::bench::raw::{RawWriter, first_note, ready_note};
use duckworker_e2e::{TestNamespace, worker};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// A fleet that a live instance of the library owns.
pub struct Fleet<'a> {
    /// Where it is.
    pub namespace: TestNamespace<'a>,
    writer: RawWriter,
    owner: Arc<Instance>,
    heartbeat: JoinHandle<()>,
}

impl<'a> Fleet<'a> {
    /// Registers the owner.
    pub async fn open(ground: &'a Ground) -> Result<Self> {
        let namespace = ground.cluster.create_namespace("scale").await?;
        let connection = Connection::new(ground.account.config()?)?;
        let settings = InstanceSettings::default();
        let (owner, heartbeat) =
            Instance::register(&connection, SYSTEM, Role::ControlPlane, settings).await?;
        let heartbeat = tokio::spawn(heartbeat.run());
        let writer = RawWriter::of(&ground.account, owner.owner().clone())?;
        Ok(Self { namespace, writer, owner, heartbeat })
    }

    /// Makes so many idle workers, each with its secret and its pod.
    pub async fn make(&self, count: usize) -> Result<()> {
        let names = names(count);
        let workers = names.iter().map(|name| self.make_one(name));
        stream::iter(workers).buffer_unordered(CONCURRENCY).try_collect::<()>().await
    }

    async fn make_one(&self, name: &str) -> Result<()> {
        let writer = &self.writer;
        let object = serde_json::from_value(worker::plain(name))?;
        let worker = self.namespace.api().create(&PostParams::default(), &object).await?;
        let worker = writer.finalize(&worker).await?;
        let worker = writer.put(&worker, &Transition::AdoptNew).await?;
        let secret = writer.make_secret(&worker).await?;
        let pod = writer.make_pod(&worker, &secret).await?;
        let note: Note = first_note(&worker, &pod)?;
        let worker = writer.put(&worker, &Transition::Note(note)).await?;
        let params = PatchParams::default();
        let pods = self.namespace.api::<Pod>();
        let runs = Patch::Merge(running());
        let pod = pods.patch_subresource("status", &pod.name_any(), &params, &runs).await?;
        writer.put(&worker, &Transition::Ready(ready_note(&worker, &pod)?)).await?;
        Ok(())
    }

    /// Ends the owner as a crash does, and waits until all its workers have another one.
    pub async fn orphan(&self, count: usize) -> Result<()> {
        let former = self.owner.owner().to_string();
        let client = self.namespace.cluster.client()?;
        let adopted = move |worker: &DuckWorker| {
            let owner = worker.status.as_ref().and_then(|status| status.owner.as_ref());
            owner.is_some_and(|owner| *owner != former)
        };
        let adopted = Arrivals::watch(&client, &self.namespace.name, count, adopted);
        self.heartbeat.abort();
        adopted.all().await.map(drop).context("they are not adopted")
    }
}

/// The status of a pod that runs, of the size that a kubelet writes.
fn running() -> Value {
    let since = "2026-01-01T00:00:00Z";
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": since, "lastProbeTime": null });
    let conditions =
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    let image = "example.invalid/duckdb:1";
    json!({ "status": {
        "phase": "Running", "startTime": since, "qosClass": "BestEffort",
        "podIP": "127.100.0.1", "podIPs": [{ "ip": "127.100.0.1" }],
        "hostIP": "127.100.0.2", "hostIPs": [{ "ip": "127.100.0.2" }],
        "conditions": conditions.map(condition),
        "containerStatuses": [{
            "name": "duckdb", "image": image, "ready": true, "started": true, "restartCount": 0,
            "imageID": format!("{image}@sha256:{}", "0".repeat(64)),
            "containerID": format!("containerd://{}", "0".repeat(64)),
            "state": { "running": { "startedAt": since } },
        }],
    } })
}
