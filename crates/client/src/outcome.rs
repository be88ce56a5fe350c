//! What became of a try, and who wants to know.

use duckworker_core::{Epoch, Image, Miss, Tenant, TransitionName, WorkerKey, WriteId};
use strum::IntoStaticStr;

/// What became of a transition that was tried and decided.
#[derive(Debug)]
#[must_use = "a miss means that the worker is somebody else's now: look at it before you act"]
pub enum Outcome<T> {
    /// It happened; this is what it hands out.
    Transitioned(T),
    /// It did not, and nothing was written. Nothing may be deleted either.
    Missed(Miss),
}

impl<T> Outcome<T> {
    /// What it handed out, if it happened.
    pub fn transitioned(self) -> Option<T> {
        match self {
            Self::Transitioned(value) => Some(value),
            Self::Missed(_) => None,
        }
    }

    /// Goes on with what it handed out, which may turn out to be a miss after all.
    pub(crate) fn and_then<U>(self, with: impl FnOnce(T) -> Outcome<U>) -> Outcome<U> {
        match self {
            Self::Transitioned(value) => with(value),
            Self::Missed(miss) => Outcome::Missed(miss),
        }
    }

    /// Turns what it hands out into something else.
    pub fn map<U>(self, with: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Transitioned(value) => Outcome::Transitioned(with(value)),
            Self::Missed(miss) => Outcome::Missed(miss),
        }
    }
}

/// Who asked for a transition: a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Origin {
    /// The spawning of a worker.
    Spawn,
    /// A claim being bound.
    Claim,
    /// The activation for a tenant.
    Activation,
    /// A health check, or the watch on pods.
    Health,
    /// A refresh of leases and credentials.
    Refresh,
    /// The deletion of the object.
    Finalizer,
    /// The adoption of a dead or leaving owner's workers.
    Adoption,
    /// A step of the janitor.
    Janitor,
    /// A pool that shrinks or changes its template.
    Pool,
    /// The shutdown of an instance.
    Shutdown,
    /// A program that uses the library.
    Library,
}

/// One try, for metrics. The label of its outcome is `transitioned`, `miss_<which>` or `error`.
#[derive(Debug)]
pub struct TransitionSeen<'a> {
    /// Which transition.
    pub name: TransitionName,
    /// What became of it; none for an error.
    pub outcome: Option<Result<(), Miss>>,
    /// Who asked.
    pub origin: Origin,
    /// Which worker.
    pub worker: &'a WorkerKey,
    /// The worker's version, where the worker was read.
    pub version: Option<&'a Image>,
    /// The tenant that was asked for, where one was.
    pub tenant: Option<&'a Tenant>,
    /// The epoch that the asker's right names, where it names one.
    pub epoch: Option<Epoch>,
    /// The id of the write that it happened by.
    pub landed: Option<&'a WriteId>,
    /// The ids of its writes that are proven never to land.
    pub refuted: &'a [WriteId],
}

/// Somebody who counts transitions.
pub trait TransitionObserver: Send + Sync {
    /// Called once for every try, after it was decided.
    fn observe(&self, seen: &TransitionSeen<'_>);
}

/// Nobody counts.
impl TransitionObserver for () {
    fn observe(&self, _: &TransitionSeen<'_>) {}
}
