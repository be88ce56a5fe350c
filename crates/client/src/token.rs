//! What cannot be forged: leases, snapshots, permits. All fields and constructors are private to
//! this crate, and each comes out of one kind of event only.

use std::sync::Arc;

use duckworker_core::worker::PodRef;
use duckworker_core::{
    Epoch, LeaseFence, Owner, SnapshotFence, Version, Worker, WorkerKey, WorkerState,
};

use crate::store::Stored;

/// "This worker is mine, at this epoch." Comes only out of a won claim, adoption, take-over or
/// refresh. A later hand-over makes it stale: its transitions then miss.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a worker that is claimed must be used, released or retired"]
pub struct WorkerLease {
    fence: LeaseFence,
}

impl WorkerLease {
    pub(crate) const fn new(fence: LeaseFence) -> Self {
        Self { fence }
    }

    pub(crate) const fn fence(&self) -> &LeaseFence {
        &self.fence
    }

    /// Which worker.
    pub const fn key(&self) -> &WorkerKey {
        &self.fence.key
    }

    /// The owner: this instance.
    pub const fn owner(&self) -> &Owner {
        &self.fence.owner
    }

    /// The epoch.
    pub const fn epoch(&self) -> Epoch {
        self.fence.epoch
    }
}

/// "This is what I saw." Comes only out of a read: the store's or the watch cache's.
#[derive(Debug, Clone)]
pub struct WorkerSnapshot {
    seen: SnapshotFence,
    stored: Arc<Stored>,
}

impl WorkerSnapshot {
    pub(crate) fn new(stored: Arc<Stored>) -> Self {
        Self { seen: SnapshotFence::of(&stored.worker), stored }
    }

    pub(crate) const fn fence(&self) -> &SnapshotFence {
        &self.seen
    }

    pub(crate) const fn stored(&self) -> &Arc<Stored> {
        &self.stored
    }

    /// The worker as it was seen.
    pub fn worker(&self) -> &Worker {
        &self.stored.worker
    }

    /// Which worker.
    pub fn key(&self) -> &WorkerKey {
        &self.stored.worker.key
    }

    /// Its `resourceVersion` as seen.
    pub fn version(&self) -> &Version {
        &self.stored.version
    }

    /// Its state as seen.
    pub fn state(&self) -> WorkerState {
        self.stored.worker.status.state
    }

    /// Our finalizer is on it.
    pub fn has_finalizer(&self) -> bool {
        self.stored.finalizers().iter().any(|f| f == duckworker_api::labels::FINALIZER)
    }

    /// The permit to delete its pod and secrets, if somebody won a transition from which no way
    /// leads back (Draining, Retired, Lost). That stays true however old this snapshot is.
    pub fn condemned(&self) -> Option<DeletePermit> {
        DeletePermit::of(&self.stored.worker)
    }

    /// The permit to delete what it has, for no reason at all: what planted bugs need.
    #[cfg(feature = "planted")]
    #[doc(hidden)]
    pub fn planted_permit(&self) -> DeletePermit {
        DeletePermit::of_unwritable(&self.stored.worker)
    }

    /// The permit to sweep what bears the name of a worker that is being deleted before anyone
    /// took it: no instance may take it any more.
    pub fn untaken(&self) -> Option<DeletePermit> {
        let worker = &self.stored.worker;
        let untaken = worker.is_deleting() && worker.status.state == WorkerState::Pending;
        untaken.then(|| DeletePermit::of_absent(worker.key.clone()))
    }
}

/// The permit to delete what a worker has: proof that a transition was won from which no way
/// leads back, that none can be written any more, or that the worker itself is gone. Taken by value by the functions that delete.
#[derive(Debug)]
#[must_use = "the pod and the secret of a condemned worker must be deleted"]
pub struct DeletePermit {
    key: WorkerKey,
    pod: Option<PodRef>,
}

impl DeletePermit {
    /// For a worker that is condemned.
    pub(crate) fn of(worker: &Worker) -> Option<Self> {
        let condemned = worker.status.state.is_condemned();
        condemned.then(|| Self { key: worker.key.clone(), pod: worker.status.pod.clone() })
    }

    /// For a worker that is being deleted and whose end cannot be written.
    pub(crate) fn of_unwritable(worker: &Worker) -> Self {
        Self { key: worker.key.clone(), pod: worker.status.pod.clone() }
    }

    /// For a worker that a consistent read did not find, or that never had an owner.
    pub(crate) const fn of_absent(key: WorkerKey) -> Self {
        Self { key, pod: None }
    }

    /// Which worker.
    pub const fn key(&self) -> &WorkerKey {
        &self.key
    }

    pub(crate) const fn pod(&self) -> Option<&PodRef> {
        self.pod.as_ref()
    }
}

/// Proof by a consistent read that a condemned worker has no pod (any more).
#[derive(Debug)]
#[must_use = "the secret of a worker without a pod must be swept"]
pub struct PodGone {
    key: WorkerKey,
}

impl PodGone {
    pub(crate) fn new(permit: DeletePermit) -> Self {
        Self { key: permit.key }
    }

    /// Which worker.
    pub const fn key(&self) -> &WorkerKey {
        &self.key
    }
}

/// Proof that pod and secrets of a worker are gone: what retires a drained one, and what lets the
/// finalizer go.
#[derive(Debug)]
#[must_use = "a swept worker can be retired, or its finalizer removed"]
pub struct Swept {
    key: WorkerKey,
}

impl Swept {
    pub(crate) fn new(gone: PodGone) -> Self {
        Self { key: gone.key }
    }

    /// Which worker.
    pub const fn key(&self) -> &WorkerKey {
        &self.key
    }
}
