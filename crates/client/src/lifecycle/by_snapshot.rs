//! Transitions by what was seen: anyone may ask, and misses when the worker moved since. After a
//! win the caller hands the permit to [`Children::clean_up`](crate::Children::clean_up) or gets it
//! done here, end to end.

use duckworker_core::planted::{Bug, planted};
use duckworker_core::{Note, Reason, Terminal, Transition};

use super::{Ask, Claimed, WorkerLifecycle};
use crate::children::Children;
use crate::error::Error;
use crate::outcome::{Origin, Outcome};
use crate::token::{DeletePermit, WorkerSnapshot};

impl WorkerLifecycle {
    /// Writes conditions on a worker that nobody owns yet.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn note_pending(
        &self,
        seen: &WorkerSnapshot,
        note: Note,
    ) -> Result<Outcome<WorkerSnapshot>, Error> {
        let transition = Transition::Note(note);
        let (key, origin) = (seen.key(), Origin::Spawn);
        let ask = Ask { key, right: Claimed::Instance, transition: &transition, origin };
        let outcome = self.attempt(&ask, Some(seen.stored())).await?;
        Ok(outcome.map(|won| WorkerSnapshot::new(won.now)))
    }

    /// Ends a worker that still stands as it was seen, and deletes what it has.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    /// An error of the clean-up is logged only: the janitor's sweeps repeat it.
    pub async fn retire_from_snapshot(
        &self,
        seen: &WorkerSnapshot,
        end: Terminal,
        reason: Reason,
        origin: Origin,
    ) -> Result<Outcome<()>, Error> {
        self.end_seen(seen, Transition::RetireFromSnapshot(end, reason), origin).await
    }

    /// The same for a worker whose owner is marked expired or has no Lease, by a consistent read.
    ///
    /// # Errors
    /// As [`Self::retire_from_snapshot`].
    pub async fn retire_orphan_from_snapshot(
        &self,
        seen: &WorkerSnapshot,
        end: Terminal,
        reason: Reason,
        origin: Origin,
    ) -> Result<Outcome<()>, Error> {
        self.end_seen(seen, Transition::RetireOrphanFromSnapshot(end, reason), origin).await
    }

    /// Ends a worker that serves nobody.
    ///
    /// # Errors
    /// As [`Self::retire_from_snapshot`].
    pub async fn retire_idle_variant_from_snapshot(
        &self,
        seen: &WorkerSnapshot,
        reason: Reason,
        origin: Origin,
    ) -> Result<Outcome<()>, Error> {
        self.end_seen(seen, Transition::RetireIdleVariantFromSnapshot(reason), origin).await
    }

    async fn end_seen(
        &self,
        seen: &WorkerSnapshot,
        transition: Transition,
        origin: Origin,
    ) -> Result<Outcome<()>, Error> {
        let right = Claimed::Snapshot(seen.fence());
        let ask = Ask { key: seen.key(), right, transition: &transition, origin };
        let outcome = self.attempt(&ask, Some(seen.stored())).await?;
        let permit = match outcome.and_then(|won| won.permit()) {
            Outcome::Transitioned(permit) => permit,
            Outcome::Missed(miss) => {
                if planted(Bug::MissKills) {
                    let permit = DeletePermit::of_unwritable(seen.worker());
                    let _ = Children::new(self.clone()).clean_up(permit).await;
                }
                return Ok(Outcome::Missed(miss));
            }
        };
        if let Err(error) = Children::new(self.clone()).clean_up(permit).await {
            tracing::warn!(worker = %seen.key(), %error, "clean-up is left to the sweeps");
        }
        Ok(Outcome::Transitioned(()))
    }
}
