//! What is believed of one worker of a pool: what the watch shows, and what this process made of it
//! that the watch is yet to show.

use std::time::Duration;

use duckworker_api::DuckWorkerPool;
use duckworker_core::pool::Member;
use duckworker_core::{Version, WorkerState};
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

/// A watch lags for milliseconds. After this long a read is the better witness.
pub(super) const BELIEVED: Duration = Duration::from_secs(10);

/// What is known of one worker.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) member: Member,
    /// The pool, by its name.
    pub(super) pool: Option<ObjectRef<DuckWorkerPool>>,
    pub(super) known: Known,
    /// The version that was shown.
    pub(super) version: Version,
    /// What this process made of that version or of a later one.
    pub(super) made: Option<Made>,
}

/// What this process made of a worker, until the watch shows it.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) state: WorkerState,
    /// Of which version.
    pub(super) of: Version,
    pub(super) since: Instant,
}

/// How it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The watch shows it, since this listing.
    Watched(u64),
    /// This process made or read it, and the watch has not shown it yet.
    Unseen(Instant),
}

impl Entry {
    pub(super) fn is_believed(&self) -> bool {
        match self.known {
            Known::Watched(_) => true,
            Known::Unseen(since) => since.elapsed() < BELIEVED,
        }
    }

    pub(super) fn shown(&self) -> Member {
        let mut member = self.member.clone();
        let made = self.made.as_ref().filter(|made| made.since.elapsed() < BELIEVED);
        if let Some(made) = made.filter(|made| may_become(member.state, made.state)) {
            member.state = made.state;
            member.trouble = None;
        }
        member
    }
}

/// Whether a worker that the watch shows in one state may be in the other by now, by a write of ours.
const fn may_become(shown: WorkerState, made: WorkerState) -> bool {
    use WorkerState as S;
    match made {
        S::Hot => matches!(shown, S::Reserved | S::Activating),
        _ => matches!(shown, S::Pending | S::Spawning | S::Idle | S::HotIdle),
    }
}
