//! What the controller asks of a running worker. The seam behind which worker protocols stand.

use duckworker_core::plan::worker::Health;
use duckworker_core::{Reason, Worker};
use futures::future::BoxFuture;
use jiff::Timestamp;

/// A way to talk to workers.
pub trait WorkerProtocol: Send + Sync {
    /// Whether the worker is healthy. Never refused for its epoch.
    fn probe<'a>(&'a self, worker: &'a Worker) -> BoxFuture<'a, Health>;

    /// Activates the worker for its tenant. When the credentials that it got expire, if they do.
    fn activate<'a>(
        &'a self,
        worker: &'a Worker,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, Reason>>;
}

/// Nothing is asked: the pod's readiness is its health, and there is nothing to activate.
#[derive(Debug, Clone, Copy)]
pub struct PodReadiness;

impl WorkerProtocol for PodReadiness {
    fn probe<'a>(&'a self, _: &'a Worker) -> BoxFuture<'a, Health> {
        Box::pin(async { Health::Healthy })
    }

    fn activate<'a>(&'a self, _: &'a Worker) -> BoxFuture<'a, Result<Option<Timestamp>, Reason>> {
        Box::pin(async { Ok(None) })
    }
}
