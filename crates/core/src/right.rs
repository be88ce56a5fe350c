//! Who asks, and what a decision may know.

use jiff::Timestamp;

use crate::names::{Epoch, Owner};
use crate::state::WorkerState;
use crate::worker::{TransitionRecord, Worker, WorkerKey};

/// "This is mine": the fence of a lease. The client crate wraps it in a type that only a won
/// transition hands out; here it is a plain value, so that every cell can be tested.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeaseFence {
    /// Which worker.
    pub key: WorkerKey,
    /// The owner.
    pub owner: Owner,
    /// The epoch.
    pub epoch: Epoch,
}

/// "This is what I saw": the fence of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFence {
    /// Which worker.
    pub key: WorkerKey,
    /// Its state then.
    pub state: WorkerState,
    /// Its owner then.
    pub owner: Option<Owner>,
    /// Its epoch then.
    pub epoch: Epoch,
    /// The newest change of state or owner then.
    pub newest: Option<TransitionRecord>,
}

impl SnapshotFence {
    /// The fence of what stands here.
    pub fn of(worker: &Worker) -> Self {
        Self {
            key: worker.key.clone(),
            state: worker.status.state,
            owner: worker.status.owner().cloned(),
            epoch: worker.status.epoch(),
            newest: worker.status.transitions.first().cloned(),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Right<'a> {
    /// The owner, by its lease.
    Lease(&'a LeaseFence),
    /// Anyone, by what he saw.
    Snapshot {
        /// What he saw.
        seen: &'a SnapshotFence,
        /// Who he is.
        by: &'a Owner,
    },
    /// A live instance that wants to become the owner.
    Instance(&'a Owner),
}

impl<'a> Right<'a> {
    /// Who asks.
    pub const fn by(&self) -> &'a Owner {
        match self {
            Self::Lease(fence) => &fence.owner,
            Self::Snapshot { by, .. } | Self::Instance(by) => by,
        }
    }
}

/// What is known of a worker's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnerStanding {
    /// Its Lease is active (or nobody marked it otherwise).
    Live,
    /// Its Lease says that it leaves: its workers may be adopted.
    Draining,
    /// Its Lease is marked expired. For ever.
    Expired,
    /// It has no Lease, by a consistent read.
    Absent,
}

impl OwnerStanding {
    /// It will never write again.
    pub const fn is_dead(self) -> bool {
        matches!(self, Self::Expired | Self::Absent)
    }

    /// Its workers may be adopted.
    pub const fn gives_up(self) -> bool {
        !matches!(self, Self::Live)
    }
}

/// Whether the caps leave room for one more; for a pool's worker that is new, whether the pool
/// names its uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Room {
    /// Yes.
    Free,
    /// No.
    Full,
}

/// What a decision may know beside the worker itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The standing of the present owner.
    pub owner: OwnerStanding,
    /// The caps.
    pub room: Room,
    /// The API server's time.
    pub now: Timestamp,
}
