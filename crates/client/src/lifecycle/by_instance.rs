//! Transitions that make this instance the owner. Each hands out the lease.

use duckworker_core::{Epoch, Tenant, Transition};

use super::{Ask, Claimed, Won, WorkerLifecycle};
use crate::error::Error;
use crate::outcome::{Origin, Outcome};
use crate::pools::Seat;
use crate::token::{WorkerLease, WorkerSnapshot};

type Taken = Result<Outcome<WorkerLease>, Error>;

impl WorkerLifecycle {
    /// Takes a new worker: Pending → Spawning at epoch 1. One of a pool misses for want of room:
    /// it needs [`Self::adopt_seated`].
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn adopt_new(&self, seen: &WorkerSnapshot) -> Taken {
        self.take(seen, &Transition::AdoptNew, Origin::Spawn).await
    }

    /// Takes a new worker of a pool, which names it.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn adopt_seated(&self, seen: &WorkerSnapshot, seat: &Seat) -> Taken {
        let (key, transition, origin) = (seen.key(), &Transition::AdoptNew, Origin::Spawn);
        let ask = Ask { key, right: Claimed::Seated(seat), transition, origin };
        Ok(self.attempt(&ask, Some(seen.stored())).await?.and_then(Won::lease))
    }

    /// Takes over a hot worker whose session comes back through this instance: Hot → Reserved.
    /// The session's record names the epoch.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn take_over(
        &self,
        seen: &WorkerSnapshot,
        tenant: Tenant,
        expected: Epoch,
        origin: Origin,
    ) -> Taken {
        self.take(seen, &Transition::TakeOver { tenant, expected }, origin).await
    }

    /// Adopts the worker of a dead or leaving owner; its state and its claim stay. A consistent
    /// read of the owner's Lease must show the mark.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn adopt(&self, seen: &WorkerSnapshot) -> Taken {
        self.take(seen, &Transition::Adopt, Origin::Adoption).await
    }

    async fn take(&self, seen: &WorkerSnapshot, transition: &Transition, origin: Origin) -> Taken {
        let ask = Ask { key: seen.key(), right: Claimed::Instance, transition, origin };
        Ok(self.attempt(&ask, Some(seen.stored())).await?.and_then(Won::lease))
    }
}
