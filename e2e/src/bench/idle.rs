//! Fresh idle workers, and a control plane that claims them. They have no pods: no controller looks
//! after their namespace.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use duckworker_client::instance::Heartbeat;
use duckworker_client::{
    Connection, Instance, InstanceSettings, Role, WorkerCache, WorkerLifecycle, WorkerSnapshot,
    WorkerStore,
};
use duckworker_core::worker::PodRef;
use duckworker_core::{Note, Transition, Uid, WorkerState};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::PostParams;
use kube::runtime::reflector::ObjectRef;

use super::CONCURRENCY;
use super::ground::{Ground, SYSTEM};
use super::raw::RawWriter;
use crate::{TestNamespace, worker};

/// How soon the watch must show what was written.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at the cache.
const PERIOD: Duration = Duration::from_millis(5);

/// Where idle workers come from, and the watch by which claimers know them.
pub struct IdleWorkers<'a> {
    /// Where they are.
    pub namespace: TestNamespace<'a>,
    /// What the watch has seen.
    pub cache: WorkerCache,
    writer: RawWriter,
    made: AtomicUsize,
}

impl<'a> IdleWorkers<'a> {
    /// Makes the namespace, and starts the watch.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn open(ground: &'a Ground) -> Result<Self> {
        let namespace = ground.cluster.create_namespace("claims").await?;
        let writer = RawWriter::new(&ground.account).await?;
        let connection = Connection::new(ground.account.config()?)?;
        let (cache, changes) = WorkerCache::follow(&connection, Some(&namespace.name), |_| {});
        tokio::spawn(changes.for_each(async |_| {}));
        Ok(Self { namespace, cache, writer, made: AtomicUsize::new(0) })
    }

    /// So many more idle workers, once the watch has shown them.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub async fn make(&self, count: usize) -> Result<Vec<DuckWorker>> {
        let workers = (0..count).map(|_| self.make_one());
        let workers: Vec<_> =
            stream::iter(workers).buffer_unordered(CONCURRENCY).try_collect().await?;
        let shown = async {
            while !workers.iter().all(|worker| self.seen(worker).is_some()) {
                tokio::time::sleep(PERIOD).await;
            }
        };
        tokio::time::timeout(PATIENCE, shown).await.context("the watch does not show them")?;
        Ok(workers)
    }

    /// An idle worker as the watch shows it.
    pub fn seen(&self, worker: &DuckWorker) -> Option<WorkerSnapshot> {
        let seen = self.cache.get(&ObjectRef::from_obj(worker))?;
        (seen.state() == WorkerState::Idle).then_some(seen)
    }

    async fn make_one(&self) -> Result<DuckWorker> {
        let name = format!("w{:05}", self.made.fetch_add(1, Ordering::Relaxed));
        let object = serde_json::from_value(worker::plain(&name))?;
        let api = self.namespace.api::<DuckWorker>();
        let worker = api.create(&PostParams::default(), &object).await?;
        let worker = self.writer.put(&worker, &Transition::AdoptNew).await?;
        self.writer.put(&worker, &Transition::Ready(note(&worker)?)).await
    }
}

/// A control plane on this connection, renewed as long as the bench runs.
///
/// # Errors
/// When the API server refuses.
pub async fn control_plane(connection: Connection) -> Result<WorkerLifecycle> {
    let settings = InstanceSettings::default();
    let (instance, heartbeat): (Arc<Instance>, Heartbeat) =
        Instance::register(&connection, SYSTEM, Role::ControlPlane, settings).await?;
    tokio::spawn(heartbeat.run());
    Ok(WorkerLifecycle::new(WorkerStore::new(connection), instance))
}

/// As an owner writes it about a pod of a worker.
fn note(worker: &DuckWorker) -> Result<Note> {
    let uid = Uid::new(worker.uid().context("a worker without uid")?)?;
    let name = worker.name_any();
    Ok(Note {
        secret_name: Some(format!("{name}-rpc")),
        server_name: Some(format!("{name}.claims.duckworker")),
        endpoint: Some("127.100.0.1:8816".to_owned()),
        pod: Some(PodRef { name, uid, ip: Some("127.100.0.1".to_owned()) }),
        ..Note::default()
    })
}
