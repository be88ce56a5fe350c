//! What a reconcile of a claim needs.

use std::sync::Arc;

use duckworker_api::DuckWorker;
use duckworker_client::{ClaimCache, ClaimStore, ServerClock, WorkerLifecycle};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::UnboundedSender;

use super::waiting::Waiting;
use crate::controllers::pool::members::Members;
use crate::controllers::requeue::Requeue;
use crate::controllers::tenant::holdings::Holdings;
use crate::controllers::worker::context::Caches;
use crate::observe::Observer;
use crate::peers::Peers;

/// What a reconcile needs.
pub struct Context {
    /// Claims.
    pub claims: ClaimCache,
    /// Workers and pools.
    pub caches: Caches,
    /// The workers of each pool.
    pub members: Arc<Members>,
    /// The claims that wait.
    pub waiting: Arc<Waiting>,
    /// Told of workers that were claimed.
    pub claimed_workers: UnboundedSender<ObjectRef<DuckWorker>>,
    /// The workers of each tenant.
    pub holdings: Arc<Holdings>,
    /// Reads and writes of claims.
    pub store: ClaimStore,
    /// The transitions of workers.
    pub lifecycle: WorkerLifecycle,
    /// The other instances.
    pub peers: Peers,
    /// The API server's time.
    pub clock: ServerClock,
    /// Events and metrics.
    pub observer: Observer,
    /// When to look again.
    pub requeue: Requeue,
    /// How many claims are looked at at once.
    pub concurrency: u16,
}
