//! The public face for a program that hands tenants' sessions to workers.
//!
//! [`ControlPlane::register`] makes the program an instance and keeps running what an instance
//! needs: the renewal of its Lease, a watch on workers, the health and the credentials of those
//! that it holds. [`ControlPlane::claim`] and [`ControlPlane::take_over`] hand out a
//! [`HeldWorker`], which knows its newest lease by itself; [`ControlPlane::workers`] observes all;
//! [`ControlPlane::shut_down`] gives everything back.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use duckworker_client::{
//!     Connection, ControlPlane, ControlPlaneSettings, Idlers, NoCredentials, Silent,
//! };
//! use duckworker_core::Tenant;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = Connection::new(kube::Config::infer().await?)?;
//! let settings = ControlPlaneSettings::new("ducks", "duckworker-system");
//! // How workers are talked to, and what they are told for their tenants: here, nothing.
//! let plane =
//!     ControlPlane::register(&connection, settings, Arc::new(Silent), Arc::new(NoCredentials))
//!         .await?;
//!
//! let worker = plane.claim(&Tenant::new("acme")?, None).await?;
//! if let Some(session) = worker.open_session() {
//!     println!("connect to {:?}", worker.endpoint());
//!     tokio::select! {
//!         why = worker.gone() => println!("the worker is gone: {why:?}"),
//!         () = tokio::time::sleep(Duration::from_secs(60)) => {}
//!     }
//!     drop(session);
//! }
//! worker.release().await?;
//!
//! // An incarnation that is over never writes again: end when `plane.over()` does.
//! plane.shut_down(Idlers::Park, Duration::from_secs(30)).await;
//! # Ok(())
//! # }
//! ```

mod claim;
mod follow;
mod held;
mod holding;
mod shutdown;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use duckworker_core::{Owner, Uid};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::activation::Activator;
use crate::cache::WorkerCache;
use crate::children::Children;
use crate::connection::Connection;
use crate::credentials::CredentialSource;
use crate::drain::Drainer;
use crate::error::Error;
use crate::health::{HealthLoop, HealthSettings};
use crate::instance::{Instance, InstanceSettings, Role};
use crate::lifecycle::WorkerLifecycle;
use crate::protocol::WorkerProtocol;
use crate::refresh::{RefreshSettings, Refresher};
use crate::store::WorkerStore;

pub use claim::ClaimError;
pub use held::HeldWorker;
use holding::Holding;
pub use holding::{Gone, Session};
pub use shutdown::{Idlers, ShutdownReport};

/// Where a control plane works, and its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlaneSettings {
    /// The namespace of its workers.
    pub namespace: String,
    /// The namespace of all instances' Leases: the controller's own.
    pub lease_namespace: String,
    /// The times of its Lease.
    pub instance: InstanceSettings,
    /// The limits of its health loop.
    pub health: HealthSettings,
    /// The times of its refresh loop.
    pub refresh: RefreshSettings,
}

impl ControlPlaneSettings {
    /// In these namespaces, with the usual times.
    pub fn new(namespace: impl Into<String>, lease_namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            lease_namespace: lease_namespace.into(),
            instance: InstanceSettings::default(),
            health: HealthSettings::default(),
            refresh: RefreshSettings::default(),
        }
    }
}

/// A registered control plane. Dropped, it ends as a killed process does: what it holds is retired
/// by the controllers after a grace, unless another takes it over.
pub struct ControlPlane {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    over: watch::Receiver<bool>,
}

/// What the parts of a control plane share.
struct Shared {
    connection: Connection,
    /// Where its workers are.
    namespace: String,
    lifecycle: WorkerLifecycle,
    activator: Activator,
    children: Children,
    drainer: Drainer,
    workers: WorkerCache,
    /// Moves whenever a worker changes.
    news: watch::Receiver<()>,
    /// Whether claims are refused, since we are stopping.
    stopping: watch::Sender<bool>,
    held: Mutex<HashMap<Uid, Arc<Holding>>>,
}

impl Shared {
    fn holding(&self, uid: &Uid) -> Option<Arc<Holding>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// It is not held any more; whoever has it in hand is told why, once.
    fn let_go(&self, uid: &Uid, why: Gone) {
        let holding = self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        if let Some(holding) = holding {
            holding.end(why);
        }
    }
}

impl ControlPlane {
    /// Registers a new incarnation and starts what it needs. There is no transition before its
    /// Lease exists.
    ///
    /// # Errors
    /// When the API server refuses or does not answer: `config/rbac/control_plane_role.yaml` and
    /// `instances_role.yaml` say which rights are needed.
    pub async fn register(
        connection: &Connection,
        settings: ControlPlaneSettings,
        protocol: Arc<dyn WorkerProtocol>,
        source: Arc<dyn CredentialSource>,
    ) -> Result<Self, Error> {
        let namespace = &settings.lease_namespace;
        let registered =
            Instance::register(connection, namespace, Role::ControlPlane, settings.instance);
        let (instance, heartbeat) = registered.await?;
        let store = WorkerStore::new(connection.clone());
        let lifecycle = WorkerLifecycle::new(store, instance);
        let (workers, changes) = WorkerCache::follow(connection, Some(&settings.namespace), |_| {});
        let (tell, news) = watch::channel(());
        let shared = Arc::new(Shared {
            connection: connection.clone(),
            namespace: settings.namespace.clone(),
            activator: Activator::new(lifecycle.clone(), source, Arc::clone(&protocol)),
            children: Children::new(lifecycle.clone()),
            drainer: Drainer::new(lifecycle.clone()),
            workers,
            news,
            stopping: watch::Sender::new(false),
            held: Mutex::default(),
            lifecycle: lifecycle.clone(),
        });
        let follower = Arc::new(follow::Follower::of(&shared));
        let health = HealthLoop::new(lifecycle, protocol, follower, settings.health);
        let refresher = Refresher::new(shared.activator.clone(), settings.refresh);
        let fillings = shared.workers.fillings();
        let following = follow::follow(Arc::downgrade(&shared), fillings, changes, tell);
        let (ended, over) = watch::channel(false);
        let mut tasks = JoinSet::new();
        // The end of any of them is the end of the incarnation: nothing goes on half alive.
        let parts = async move {
            tokio::select! {
                () = heartbeat.run() => {}
                () = following => {}
                () = health.run() => {}
                () = refresher.run() => {}
            }
            ended.send_replace(true);
        };
        tasks.spawn(parts);
        Ok(Self { shared, tasks, over })
    }

    /// Its identity.
    pub fn owner(&self) -> &Owner {
        self.shared.lifecycle.instance().owner()
    }

    /// All workers of its namespace, as a watch shows them.
    pub fn workers(&self) -> &WorkerCache {
        &self.shared.workers
    }

    /// Single transitions, for what this face does not offer.
    pub fn lifecycle(&self) -> &WorkerLifecycle {
        &self.shared.lifecycle
    }

    /// Returns when this incarnation is over: its Lease was marked expired or is gone, or a part
    /// of it died. It never writes again; end the process, or register anew.
    pub async fn over(&self) {
        let _ = self.over.clone().wait_for(|over| *over).await;
    }
}
