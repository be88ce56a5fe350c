//! Workers that nobody looks after, and workers that do not get on.

use duckworker_client::{Error, Origin, Outcome};
use duckworker_core::plan::janitor::workers::{is_orphaned, is_stuck};
use duckworker_core::{Reason, Terminal, WorkerState};

use super::round::{Act, Round, Suspect};
use crate::observe::EventReason;

impl Round<'_> {
    /// Ends workers whose sessions died with their owner. A consistent read of the owner's Lease
    /// comes before each.
    pub(super) async fn orphans(&mut self) {
        let limits = self.limits();
        let mut found = self.suspects();
        found.retain(|suspect| is_orphaned(&suspect.seen(), &limits));
        self.each(found, |orphan| self.retire_orphan(orphan)).await;
    }

    /// Ends workers that stand too long in a state that should pass.
    pub(super) async fn stuck(&mut self) {
        let (limits, now) = (self.limits(), self.tools.clock.now());
        let mut found = self.suspects();
        found.retain(|suspect| is_stuck(&suspect.seen(), now, &limits));
        self.each(found, |stuck| self.retire_stuck(stuck)).await;
    }

    async fn retire_orphan(&self, orphan: Suspect) -> Result<Act, Error> {
        let (lifecycle, seen) = (&self.tools.lifecycle, &orphan.snapshot);
        let end = lifecycle.retire_orphan_from_snapshot(
            seen,
            Terminal::Retired,
            Reason::Orphaned,
            Origin::Janitor,
        );
        let outcome = end.await?;
        if let Outcome::Transitioned(()) = &outcome {
            let message = "its owner died, and its sessions with it; nobody took it over in time";
            self.tools.observer.event(seen, EventReason::WorkerOrphaned, message);
        }
        Ok(outcome.into())
    }

    async fn retire_stuck(&self, stuck: Suspect) -> Result<Act, Error> {
        let (lifecycle, seen) = (&self.tools.lifecycle, &stuck.snapshot);
        let end =
            lifecycle.retire_from_snapshot(seen, Terminal::Retired, Reason::Stuck, Origin::Janitor);
        let outcome = end.await?;
        if let Outcome::Transitioned(()) = &outcome {
            let event = match seen.state() {
                WorkerState::Draining => EventReason::DrainStuck,
                _ => EventReason::WorkerAbandoned,
            };
            let message = format!(
                "it stood in {} for longer than it is given; its owner did nothing about it",
                seen.state()
            );
            self.tools.observer.event(seen, event, &message);
        }
        Ok(outcome.into())
    }
}
