//! How running workers are talked to: the seam behind which worker protocols stand.

use duckworker_core::Worker;
use duckworker_core::plan::health::Finding;
use futures::future::BoxFuture;

use crate::credentials::Credentials;
use crate::token::WorkerLease;

/// A way to talk to workers. Implementations need no patience of their own: every call is given a
/// deadline by who makes it, and may be dropped at any await.
pub trait WorkerProtocol: Send + Sync {
    /// Asks a worker for its health. It must never be refused for its epoch, nor ask for one: a
    /// worker that was just handed over is as healthy as it was before.
    fn probe<'a>(&'a self, worker: &'a Worker) -> BoxFuture<'a, Finding>;

    /// Whether a worker like this is told its tenant's credentials at all.
    fn takes_credentials(&self, _: &Worker) -> bool {
        false
    }

    /// Tells a worker its tenant's credentials, at the epoch of this lease: at its activation, and
    /// again with each refresh. The same twice is fine. None: the tenant has none. A protocol that
    /// has no words for it tells nothing.
    fn activate<'a>(
        &'a self,
        _: &'a Worker,
        _: &'a WorkerLease,
        _: Option<&'a Credentials>,
    ) -> BoxFuture<'a, Result<(), NotActivated>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A worker did not take its tenant's credentials. Why, in a few words without secrets.
#[derive(Debug, thiserror::Error)]
pub enum NotActivated {
    /// It was told, and could not do it, or took too long.
    #[error("the worker did not take its tenant's credentials: {0}")]
    Failed(String),
    /// It could not be told: that says nothing about the worker, so try again.
    #[error("the worker could not be told its tenant's credentials: {0}")]
    Untold(String),
}

/// Nothing is asked and nothing is told: every worker counts as healthy, and takes no credentials.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl WorkerProtocol for Silent {
    fn probe<'a>(&'a self, _: &'a Worker) -> BoxFuture<'a, Finding> {
        Box::pin(std::future::ready(Finding::Healthy))
    }
}
