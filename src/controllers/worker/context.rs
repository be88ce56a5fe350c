//! What a reconcile needs.

use std::sync::Arc;

use duckworker_api::DuckWorker;
use duckworker_client::{Children, ServerClock, WorkerCache, WorkerLifecycle};
use duckworker_core::Uid;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::Store;

use crate::controllers::requeue::Requeue;
use crate::observe::Observer;
use crate::peers::Peers;
use crate::protocol::WorkerProtocol;

/// The watch caches of one scope.
#[derive(Clone)]
pub struct Caches {
    /// Workers.
    pub workers: Store<DuckWorker>,
    /// Their pods.
    pub pods: Store<Pod>,
    /// The metadata of their secrets.
    pub secrets: Store<PartialObjectMeta<Secret>>,
}

impl Caches {
    /// Waits until all have been filled once. False: a watch ended before.
    pub async fn wait_until_ready(&self) -> bool {
        let workers = self.workers.wait_until_ready().await;
        let pods = self.pods.wait_until_ready().await;
        let secrets = self.secrets.wait_until_ready().await;
        workers.and(pods).and(secrets).is_ok()
    }
}

/// What a reconcile needs.
pub struct Context {
    /// The caches.
    pub caches: Caches,
    /// Workers, parsed.
    pub workers: WorkerCache,
    /// The transitions.
    pub lifecycle: WorkerLifecycle,
    /// Pods and secrets.
    pub children: Children,
    /// The API server's time.
    pub clock: ServerClock,
    /// The other instances.
    pub peers: Peers,
    /// How workers are talked to.
    pub protocol: Arc<dyn WorkerProtocol>,
    /// Events and metrics.
    pub observer: Observer,
    /// When to look again.
    pub requeue: Requeue,
    /// How many workers are looked at at once.
    pub concurrency: u16,
}

impl Context {
    /// A worker is gone from the API server: so it is from memory.
    pub fn forget(&self, gone: &DuckWorker) {
        if let Some(uid) = gone.metadata.uid.as_ref().and_then(|uid| Uid::new(uid).ok()) {
            self.lifecycle.forget(&uid);
            self.requeue.succeeded(&uid);
        }
    }
}
