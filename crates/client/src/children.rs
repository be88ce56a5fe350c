//! Pods and secrets of workers: created for a lease, deleted with a permit, always by uid.

mod create;
mod delete;
mod finalizer;

pub use delete::{Grace, PodStanding};
pub use finalizer::Finalized;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;

use crate::lifecycle::WorkerLifecycle;

/// Creates and deletes what workers have.
#[derive(Clone)]
pub struct Children {
    lifecycle: WorkerLifecycle,
}

impl Children {
    /// For the workers of this lifecycle.
    pub const fn new(lifecycle: WorkerLifecycle) -> Self {
        Self { lifecycle }
    }

    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.lifecycle.store().connection().client.clone(), namespace)
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.lifecycle.store().connection().client.clone(), namespace)
    }

    fn deadline(&self) -> std::time::Duration {
        self.lifecycle.store().deadline()
    }
}
