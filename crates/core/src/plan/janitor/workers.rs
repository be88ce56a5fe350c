//! Workers that nobody looks after, and workers that do not get on.

use std::time::Duration;

use jiff::Timestamp;

use super::Limits;
use crate::decide::{elapsed, is_drain_overdue};
use crate::plan::worker::{Holder, is_adoptable};
use crate::planted::{Bug, planted};
use crate::right::OwnerStanding;
use crate::state::WorkerState;
use crate::worker::Worker;

/// A worker, and what is known of its owner.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSeen<'a> {
    /// The worker.
    pub worker: &'a Worker,
    /// Who holds it.
    pub holder: Holder,
    /// How long its owner is known to be dead; zero if it lives.
    pub ownerless_for: Duration,
    /// Since when it is in its state.
    pub since: Timestamp,
}

impl WorkerSeen<'_> {
    fn owner_is_dead(&self) -> bool {
        match self.holder {
            Holder::Peer(standing) | Holder::Foreign(standing) => standing.is_dead(),
            Holder::Me | Holder::Nobody => false,
        }
    }
}

/// Its owner is dead for longer than the grace, nobody took it over, and nobody may adopt it:
/// its sessions died with that owner's process.
///
/// A worker that may be adopted is never an orphan, however long it waits: the controllers adopt
/// it, if only the next one to start does.
pub fn is_orphaned(seen: &WorkerSeen<'_>, limits: &Limits) -> bool {
    seen.worker.status.state.is_active()
        && (seen.owner_is_dead() && seen.ownerless_for >= limits.orphan_grace
            || planted(Bug::LivingOrphans))
        && (!is_adoptable(seen.worker) || planted(Bug::AdoptableOrphans))
}

/// It stands in a state that should pass, for longer than it was ever given, and its owner lives
/// and does nothing about it. The workers of a dead one are adopted or orphaned instead.
pub fn is_stuck(seen: &WorkerSeen<'_>, now: Timestamp, limits: &Limits) -> bool {
    let Some(limit) = patience(seen.worker, limits) else { return false };
    let state = seen.worker.status.state;
    !seen.owner_is_dead()
        && elapsed(seen.since, now) >= limit
        && (state != WorkerState::Draining || is_drain_overdue(seen.worker, now))
}

/// How long a worker may stay in its state. The limit is always longer than what its owner gives
/// it, so that a slow start is its owner's business and never the janitor's.
fn patience(worker: &Worker, limits: &Limits) -> Option<Duration> {
    let spec = &worker.spec;
    let (least, own) = match worker.status.state {
        WorkerState::Spawning => (limits.stuck_spawning, spec.startup_timeout),
        WorkerState::Reserved | WorkerState::Activating => {
            (limits.stuck_activating, spec.activation_timeout)
        }
        WorkerState::Draining => (limits.draining_limit, spec.drain_timeout),
        _ => return None,
    };
    if planted(Bug::StuckTooSoon) {
        return Some(own / 8);
    }
    Some(least.max(own.saturating_add(limits.stuck_margin)))
}

/// It is parked for longer than its pool keeps it. A worker without a pool has no such limit.
///
/// The clock is `idleSince`: a refresh of lease or credentials does not turn it back.
pub fn is_parked_too_long(worker: &Worker, ttl: Option<Duration>, now: Timestamp) -> bool {
    let status = &worker.status;
    let since = status.idle_since.or(status.state_since);
    status.state == WorkerState::HotIdle
        && ttl.zip(since).is_some_and(|(ttl, since)| elapsed(since, now) >= ttl)
}

/// Whether a worker may concern the janitor at all, by its state and whether its owner lives:
/// asked of every worker at every tick, so it costs next to nothing.
pub fn may_concern(state: WorkerState, owner: OwnerStanding) -> bool {
    let passes = matches!(
        state,
        WorkerState::Spawning
            | WorkerState::Reserved
            | WorkerState::Activating
            | WorkerState::Draining
    );
    passes || ((owner.is_dead() || planted(Bug::LivingOrphans)) && state.is_active())
}
