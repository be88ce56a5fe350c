//! What a reconcile needs.

use std::sync::Arc;

use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool, WorkerPod};
use duckworker_client::cache::{self, Filled};
use duckworker_client::{
    Activator, Children, ClaimCache, ClaimStore, PoolCache, Seat, ServerClock, TenantCache,
    TenantStore, WorkerCache, WorkerLifecycle, WorkerSnapshot,
};
use duckworker_core::pool::{Disruption, Reuse, Undeclared};
use duckworker_core::{Uid, WorkerKey};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::mpsc::UnboundedSender;

use super::first_check::AskedInVain;
use super::made::JustMade;
use crate::controllers::pool::members::Members;
use crate::controllers::requeue::Requeue;
use crate::controllers::secrets::SecretSeen;
use crate::observe::Observer;
use crate::peers::Peers;

/// The watch caches of one scope, and what is to come into them.
#[derive(Clone)]
pub struct Caches {
    /// Workers.
    pub workers: WorkerCache,
    /// Their pools.
    pub pools: PoolCache,
    /// Claims.
    pub claims: ClaimCache,
    /// Tenants.
    pub tenants: TenantCache,
    /// The workers of each pool.
    pub members: Arc<Members>,
    /// Their pods.
    pub pods: Store<WorkerPod>,
    /// What is seen of their secrets.
    pub secrets: Store<SecretSeen>,
    /// The nodes, of all scopes.
    pub nodes: Store<Node>,
    /// Pods and secrets are there, once this says so.
    pub filled: Filled,
    /// What this process made and the watches have not shown yet.
    pub made: Arc<JustMade>,
}

impl Caches {
    /// A pod was made for this worker. The watch may have shown it before the answer came: then
    /// it is not kept a second time.
    pub fn pod_made(&self, worker: &Uid, pod: &WorkerPod) {
        self.made.pod(worker, pod.clone());
        let shown = self.pods.get(&ObjectRef::from_obj(pod));
        if shown.is_some_and(|shown| shown.metadata.uid == pod.metadata.uid) {
            self.made.pod_seen(worker);
        }
    }

    /// The proof that a worker's pool names it. An old one is as good as a new one; that there is
    /// none may change with the next version of the pool, of which a watch tells.
    pub fn seat_of(&self, worker: &WorkerSnapshot) -> Option<Seat> {
        let pool = worker.worker().pool.as_ref()?;
        self.pools.named(&worker.key().namespace, &pool.name)?.seat_of(worker)
    }

    /// Whether a worker may serve its tenant a second time. Without a pool nobody says that it may
    /// not.
    pub fn reuse_of(&self, worker: &WorkerSnapshot) -> Reuse {
        self.pool_of(worker).map_or(Reuse::SameTenant, |pool| pool.spec.reuse.into())
    }

    /// Whether a worker's pod may be evicted while it is idle. Without a pool nobody asked for marks.
    pub fn disruption_of(&self, worker: &WorkerSnapshot) -> Disruption {
        self.pool_of(worker).map_or(Disruption::Protect, |pool| pool.spec.disruption.into())
    }

    /// Whether a worker's pool serves tenants that nobody declared.
    pub fn undeclared_of(&self, worker: &WorkerSnapshot) -> Undeclared {
        self.pool_of(worker).map_or(Undeclared::Allow, |pool| pool.spec.undeclared_tenants.into())
    }

    /// A worker's pool as it stands in the cache. For a word of its spec it need not be parsed, which
    /// for its template takes longest.
    fn pool_of(&self, worker: &WorkerSnapshot) -> Option<Arc<DuckWorkerPool>> {
        let name = &worker.worker().pool.as_ref()?.name;
        self.pools.store().get(&ObjectRef::new(name).within(&worker.key().namespace))
    }

    /// Waits until all have been filled once. False: a watch ended before.
    pub async fn wait_until_ready(&self) -> bool {
        let children = self.filled.clone();
        self.workers.wait_until_filled().await
            && self.claims.wait_until_filled().await
            && self.tenants.wait_until_filled().await
            && children.await
    }
}

/// The wait for pods and secrets.
pub fn filled(pods: Store<WorkerPod>, secrets: Store<SecretSeen>) -> Filled {
    let (pods, secrets) = (cache::filled(pods), cache::filled(secrets));
    async move { pods.await && secrets.await }.boxed().shared()
}

/// What a reconcile needs.
pub struct Context {
    /// The caches.
    pub caches: Caches,
    /// Workers, parsed.
    pub workers: WorkerCache,
    /// The transitions.
    pub lifecycle: WorkerLifecycle,
    /// Reads of claims.
    pub claims: ClaimStore,
    /// Told of claims whose workers have been activated.
    pub served_claims: UnboundedSender<ObjectRef<DuckWorkerClaim>>,
    /// Reads of tenants.
    pub tenants: TenantStore,
    /// Pods and secrets.
    pub children: Children,
    /// The API server's time.
    pub clock: ServerClock,
    /// The other instances.
    pub peers: Peers,
    /// How workers are talked to, and told their tenants' credentials.
    pub activator: Activator,
    /// Events and metrics.
    pub observer: Observer,
    /// Workers that are not well yet.
    pub asked_in_vain: AskedInVain,
    /// When to look again.
    pub requeue: Requeue,
    /// How many workers are looked at at once.
    pub concurrency: u16,
}

impl Context {
    /// The worker as the cache has it, in its wire form.
    pub fn object(&self, key: &WorkerKey) -> Option<Arc<DuckWorker>> {
        let reference = ObjectRef::new(&key.name).within(&key.namespace);
        let object = self.workers.store().get(&reference)?;
        (object.metadata.uid.as_deref() == Some(key.uid.as_str())).then_some(object)
    }

    /// A worker is gone from the API server: so it is from memory.
    pub fn forget(&self, gone: &DuckWorker) {
        if let Some(uid) = gone.metadata.uid.as_ref().and_then(|uid| Uid::new(uid).ok()) {
            self.lifecycle.forget(&uid);
            self.requeue.succeeded(&uid);
            self.caches.made.forget(&uid);
            self.asked_in_vain.forget(&uid);
        }
    }
}
