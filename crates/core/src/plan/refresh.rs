//! Which workers get their tenant's credentials anew, and in what order.
//!
//! A worker is refreshed by its owner while it serves or waits for its tenant, never while it is
//! being assigned or activated: a higher epoch under an activation would make the worker refuse
//! it. What is due is judged by what the worker was given last, where this process gave it, and by
//! the expiry in its status, which outlives the process.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::elapsed;
use crate::names::Uid;
use crate::state::WorkerState;
use crate::worker::Worker;

/// What a worker was given, as the process that gave it remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Which edition of the tenant's credentials.
    pub revision: String,
    /// When, in the API server's time.
    pub at: Timestamp,
    /// When that edition expires, if it does.
    pub expire_at: Option<Timestamp>,
}

/// One worker of ours, as the plan sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The worker.
    pub worker: &'a Worker,
    /// What this process gave it last; none if another process did.
    pub given: Option<&'a Given>,
    /// The edition that its tenant's source has now; none if there is nothing to give.
    pub current: Option<&'a str>,
}

/// How pressing a refresh is: the most pressing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// No expiry is known: it may be over already.
    Unknown,
    /// It expires then.
    Expires(Timestamp),
}

/// The workers that are due, the most pressing first: those whose expiry nobody knows, then by
/// expiry. `lifetime` is how long credentials live when nobody knows when they were made.
pub fn due<'a>(
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    lifetime: Duration,
    now: Timestamp,
) -> Vec<&'a Uid> {
    let mut due: Vec<_> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let urgency = urgency(&candidate, lifetime, now)?;
            Some((urgency, &candidate.worker.key.uid))
        })
        .collect();
    due.sort_unstable();
    due.into_iter().map(|(_, uid)| uid).collect()
}

/// Whether a worker in this state may be refreshed at all.
pub const fn may_be_refreshed(worker: &Worker) -> bool {
    matches!(worker.status.state, WorkerState::Hot | WorkerState::HotIdle) && !worker.is_deleting()
}

fn urgency(candidate: &Candidate<'_>, lifetime: Duration, now: Timestamp) -> Option<Urgency> {
    let current = candidate.current?;
    if !may_be_refreshed(candidate.worker) {
        return None;
    }
    let given = candidate.given;
    let rotated = given.is_some_and(|given| given.revision != current);
    match candidate.worker.status.credentials_expire_at {
        // One that never expires is given once, by each owner, and again when it changes.
        None if given.is_none() || rotated => Some(Urgency::Unknown),
        None => None,
        Some(end) => {
            let made = given.filter(|given| given.expire_at == Some(end));
            let lifetime = made.map_or(lifetime, |given| elapsed(given.at, end));
            let half_over = elapsed(now, end) < lifetime / 2;
            (half_over || rotated).then_some(Urgency::Expires(end))
        }
    }
}

/// Whether giving a worker this edition would change nothing: it has it already. A source that has
/// nothing newer than what is about to expire is asked again later, and no epoch is spent on it.
pub fn has_it_already(given: Option<&Given>, revision: &str, expire_at: Option<Timestamp>) -> bool {
    given.is_some_and(|given| given.revision == revision && given.expire_at == expire_at)
}

/// How long to leave a worker alone after so many fruitless tries in a row: each may have cost an
/// epoch. Doubles from `first` up to five minutes.
pub fn pause_after(tries: u32, first: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_mins(5);
    first.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))).min(LONGEST.max(first))
}
