//! One try of a transition: with which right, and what it hands out when it is won.

use std::sync::Arc;

use duckworker_core::planted::{Bug, planted};
use duckworker_core::worker::Ownership;
use duckworker_core::{
    Epoch, LeaseFence, Miss, Room, SnapshotFence, Transition, TransitionName, Version, Worker,
    WorkerKey, WriteId,
};

use crate::outcome::{Origin, Outcome};
use crate::pools::Seat;
use crate::store::Stored;
use crate::tenants::places::Place;
use crate::token::{DeletePermit, WorkerLease};

/// A right that outlives the try.
pub(super) enum Claimed<'a> {
    Lease(&'a LeaseFence),
    Snapshot(&'a SnapshotFence),
    Instance,
    Seated(&'a Seat),
    Placed(&'a Place),
}

impl Claimed<'_> {
    /// Whether there is room. A pool's worker is started only with its seat, and a worker is
    /// claimed only with a place under its tenant's cap.
    pub(super) fn room(&self, worker: &Worker, transition: &Transition) -> Room {
        use Transition as T;
        let uid = &worker.key.uid;
        let granted = match (transition, self) {
            (T::AdoptNew, Claimed::Seated(seat)) => seat.worker() == uid,
            (T::AdoptNew, _) => worker.pool.is_none() || planted(Bug::SeatIgnored),
            (
                T::ClaimIdle { tenant, .. } | T::ClaimHotIdle { tenant, .. },
                Claimed::Placed(place),
            ) => place.is_for(uid, tenant),
            (T::ClaimIdle { .. } | T::ClaimHotIdle { .. }, _) => false,
            _ => true,
        };
        if granted { Room::Free } else { Room::Full }
    }

    /// The one version of the worker on which the write may land, if it is bound to one.
    pub(super) const fn base(&self) -> Option<&Version> {
        match self {
            Claimed::Placed(place) => place.base(),
            _ => None,
        }
    }
}

/// One try.
pub(super) struct Ask<'a> {
    pub(super) key: &'a WorkerKey,
    pub(super) right: Claimed<'a>,
    pub(super) transition: &'a Transition,
    pub(super) origin: Origin,
}

impl Ask<'_> {
    /// The epoch that the right names.
    pub(super) const fn epoch(&self) -> Option<Epoch> {
        match (&self.right, self.transition) {
            (Claimed::Lease(fence), _) => Some(fence.epoch),
            (Claimed::Snapshot(seen), _) => Some(seen.epoch),
            (Claimed::Instance, Transition::TakeOver { expected, .. }) => Some(*expected),
            (Claimed::Instance | Claimed::Seated(_) | Claimed::Placed(_), _) => None,
        }
    }
}

/// A transition that happened.
pub(super) struct Won {
    /// The worker now: as we wrote it or, when the answer was lost, as others left it since.
    pub(super) now: Arc<Stored>,
    /// The ownership as we wrote it. If somebody took the worker since, a lease of it is stale,
    /// as it should be: it must never be made of somebody else's ownership.
    pub(super) ownership: Option<Ownership>,
    /// The id of the write.
    pub(super) id: WriteId,
}

impl Won {
    /// The lease that a won hand-over gives.
    pub(super) fn lease(self) -> Outcome<WorkerLease> {
        let key = self.now.worker.key.clone();
        self.ownership.map_or(Outcome::Missed(Miss::Owner), |Ownership { owner, epoch }| {
            Outcome::Transitioned(WorkerLease::new(LeaseFence { key, owner, epoch }))
        })
    }

    /// The permit that a won end gives.
    pub(super) fn permit(&self) -> Outcome<DeletePermit> {
        DeletePermit::of(&self.now.worker)
            .map_or(Outcome::Missed(Miss::State), Outcome::Transitioned)
    }
}

pub(super) fn log_win(ask: &Ask<'_>, now: &Stored) {
    tracing::debug!(
        worker = %ask.key, transition = %ask.transition.name(),
        epoch = %now.worker.status.epoch(), "transitioned"
    );
}

pub(super) fn what(ask: &Ask<'_>) -> String {
    format!("{} of DuckWorker {}", ask.transition.name(), ask.key)
}

/// The transitions whose guard asks whether the owner is dead or leaves.
pub(super) const fn asks_for_standing(name: TransitionName) -> bool {
    matches!(
        name,
        TransitionName::Adopt
            | TransitionName::RetireFromSnapshot
            | TransitionName::RetireOrphanFromSnapshot
    )
}
