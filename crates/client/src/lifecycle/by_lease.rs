//! Transitions of a worker's owner. None of them deletes anything: those that end a worker hand
//! out the permit, and the owner deletes in its own order.

use duckworker_core::{Note, Reason, Transition};
use jiff::Timestamp;

use super::{Ask, Claimed, Won, WorkerLifecycle};
use crate::error::Error;
use crate::outcome::{Origin, Outcome};
use crate::token::{DeletePermit, Swept, WorkerLease, WorkerSnapshot};

type Done = Result<Outcome<WorkerSnapshot>, Error>;
type Ended = Result<Outcome<DeletePermit>, Error>;

impl WorkerLifecycle {
    /// The pod is ready and healthy: Spawning → Idle.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn ready(&self, lease: &WorkerLease, note: Note) -> Done {
        self.go(lease, Transition::Ready(note), Origin::Spawn).await
    }

    /// The tenant's activation begins: Reserved → Activating.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn activate(&self, lease: &WorkerLease) -> Done {
        self.go(lease, Transition::Activate, Origin::Activation).await
    }

    /// The activation ended well: Activating → Hot.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn activated(
        &self,
        lease: &WorkerLease,
        credentials_expire_at: Option<Timestamp>,
    ) -> Done {
        let transition = Transition::Activated { credentials_expire_at };
        self.go(lease, transition, Origin::Activation).await
    }

    /// The sessions ended: Hot → `HotIdle`.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn release(&self, lease: &WorkerLease, origin: Origin) -> Done {
        self.go(lease, Transition::Release, origin).await
    }

    /// Gives back a worker that was hot before, by a bind that lost: Reserved → `HotIdle`.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn park(&self, lease: &WorkerLease, origin: Origin) -> Done {
        self.go(lease, Transition::Park, origin).await
    }

    /// Writes down what the owner saw. State, owner and epoch stay.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn note(&self, lease: &WorkerLease, note: Note, origin: Origin) -> Done {
        self.go(lease, Transition::Note(note), origin).await
    }

    /// Raises the epoch: the lease given becomes stale, the one handed out replaces it. Whoever
    /// asks for the lease meanwhile waits and gets the new one.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn refresh_lease(&self, lease: &WorkerLease) -> Result<Outcome<WorkerLease>, Error> {
        let outcome = self.by_lease(lease, &Transition::RefreshLease, Origin::Refresh).await?;
        Ok(outcome.and_then(Won::lease))
    }

    /// The worker shall finish and exit: any serving state → Draining. The permit lets the owner
    /// tell its pod so.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn drain(&self, lease: &WorkerLease, reason: Reason, origin: Origin) -> Ended {
        self.end(lease, Transition::Drain(reason), origin).await
    }

    /// Pod and secret of a draining worker are gone: Draining → Retired.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn retire_drained(&self, lease: &WorkerLease, swept: &Swept, origin: Origin) -> Done {
        if swept.key() != lease.key() {
            return Ok(Outcome::Missed(duckworker_core::Miss::Gone));
        }
        self.go(lease, Transition::RetireDrained, origin).await
    }

    /// Start or activation failed: Spawning, Reserved, Activating → Retired.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn abandon(&self, lease: &WorkerLease, reason: Reason, origin: Origin) -> Ended {
        self.end(lease, Transition::Abandon(reason), origin).await
    }

    /// The worker ran and is gone: any serving state → Lost.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn mark_lost(&self, lease: &WorkerLease, reason: Reason, origin: Origin) -> Ended {
        self.end(lease, Transition::MarkLost(reason), origin).await
    }

    async fn go(&self, lease: &WorkerLease, transition: Transition, origin: Origin) -> Done {
        let outcome = self.by_lease(lease, &transition, origin).await?;
        Ok(outcome.map(|won| WorkerSnapshot::new(won.now)))
    }

    async fn end(&self, lease: &WorkerLease, transition: Transition, origin: Origin) -> Ended {
        let outcome = self.by_lease(lease, &transition, origin).await?;
        Ok(outcome.and_then(|won| won.permit()))
    }

    async fn by_lease(
        &self,
        lease: &WorkerLease,
        transition: &Transition,
        origin: Origin,
    ) -> Result<Outcome<Won>, Error> {
        let right = Claimed::Lease(lease.fence());
        let ask = Ask { key: lease.key(), right, transition, origin };
        self.attempt(&ask, None).await
    }
}
