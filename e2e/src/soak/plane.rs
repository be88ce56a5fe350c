//! A foreign control plane: it claims workers through the library, holds each for a moment and parks
//! it. It shares this process, so that it can be held still; its end is that of SIGKILL.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use duckworker_client::{
    ClaimError, Connection, ControlPlane, ControlPlaneSettings, Idlers, InstanceSettings,
    NoCredentials, Silent,
};
use duckworker_core::Tenant;
use duckworker_history::world::World;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fleet::{incarnations, now};
use crate::{Identity, TestNamespace};

/// Its pod, whose name is the beginning of its identity.
const POD: &str = "plane";
/// Its service account.
pub const ACCOUNT: &str = "plane";
/// Whom it claims for.
const TENANT: &str = "globex";
/// How long it holds a worker.
const HOLD: Duration = Duration::from_millis(700);
/// Between two tries when there is no worker, or no answer.
const PAUSE: Duration = Duration::from_millis(300);
/// How long its last session may last.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the incarnations of a control plane have in common.
struct Ground {
    identity: Identity,
    namespace: String,
    times: InstanceSettings,
    /// Held for reading while it works.
    work: Arc<RwLock<()>>,
    born: Mutex<Timestamp>,
}

/// A control plane that comes back when it has ended.
pub struct Plane {
    ground: Arc<Ground>,
    /// None: it has left.
    running: Mutex<Option<Running>>,
}

struct Running {
    task: JoinHandle<()>,
    leave: CancellationToken,
}

impl Plane {
    /// Starts it in a pod of its own. The rights must be there.
    ///
    /// # Errors
    /// When its pod or its token cannot be had.
    pub async fn start(
        ns: &TestNamespace<'_>,
        times: InstanceSettings,
        work: Arc<RwLock<()>>,
    ) -> Result<Self> {
        let pod: Pod = ns
            .create(json!({
                "metadata": { "name": POD },
                "spec": { "serviceAccountName": ACCOUNT,
                    "containers": [{ "name": "cp", "image": "example.invalid/cp:1" }] },
            }))
            .await?;
        let identity = ns.cluster.service_account(&ns.name, ACCOUNT, Some(&pod)).await?;
        let (namespace, born) = (ns.name.clone(), Mutex::new(now()));
        let ground = Arc::new(Ground { identity, namespace, times, work, born });
        let running = Mutex::new(Some(Running::begin(&ground)));
        Ok(Self { ground, running })
    }

    /// Ends it as SIGKILL does, and starts the next incarnation.
    pub async fn kill(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut running) = running {
            running.task.abort();
            let _ = (&mut running.task).await;
        }
        let next = Running::begin(&self.ground);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }

    /// Tells it to leave: it parks what it holds.
    pub async fn leave(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut running) = running {
            running.leave.cancel();
            let _ = (&mut running.task).await;
        }
    }

    /// Whether this owner is an earlier incarnation of it.
    pub fn has_died(&self, world: &World, owner: &str) -> bool {
        let born = self.ground.born();
        incarnations(world, POD).any(|(of, _, since)| of == owner && since < born)
    }
}

impl Running {
    fn begin(ground: &Arc<Ground>) -> Self {
        let leave = CancellationToken::new();
        let life = Arc::clone(ground).live(leave.clone());
        Self { task: tokio::spawn(life), leave }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ground {
    fn born(&self) -> Timestamp {
        *self.born.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One incarnation after the other.
    async fn live(self: Arc<Self>, leave: CancellationToken) {
        while !leave.is_cancelled() {
            *self.born.lock().unwrap_or_else(PoisonError::into_inner) = now();
            let Ok(plane) = self.register().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            tokio::select! {
                () = plane.over() => {}
                () = self.serve(&plane) => {}
                () = leave.cancelled() => drop(plane.shut_down(Idlers::Park, PATIENCE).await),
            }
        }
    }

    async fn register(&self) -> Result<ControlPlane> {
        let connection = Connection::new(self.identity.config()?)?;
        let namespace = &self.namespace;
        let settings = ControlPlaneSettings {
            instance: self.times,
            ..ControlPlaneSettings::new(namespace, namespace)
        };
        let (silent, nothing) = (Arc::new(Silent), Arc::new(NoCredentials));
        Ok(ControlPlane::register(&connection, settings, silent, nothing).await?)
    }

    async fn serve(&self, plane: &ControlPlane) {
        loop {
            let at_work = self.work.read().await;
            // What went wrong, a server that is away, say, is no reason to end.
            let served = self.serve_once(plane).await;
            drop(at_work);
            if !matches!(served, Ok(true)) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Claims a worker, if there is one, holds it, and parks it.
    async fn serve_once(&self, plane: &ControlPlane) -> Result<bool, ClaimError> {
        let Ok(tenant) = Tenant::new(TENANT) else { return Ok(false) };
        let Some(worker) = plane.try_claim(&tenant, None).await? else { return Ok(false) };
        let session = worker.open_session();
        tokio::select! {
            _ = worker.gone() => {}
            () = tokio::time::sleep(HOLD) => {}
        }
        drop(session);
        // A miss: it went another way, and is not ours to touch any more.
        let _ = worker.release().await?;
        Ok(true)
    }
}
