//! What follows from health checks, and from a loss that could not be written down.
//!
//! Failures are counted for one lease: whoever holds the worker at another epoch starts anew, so
//! that what was seen under an old lease is never held against a new one.

use std::time::Duration;

use strum::IntoStaticStr;

use crate::names::Epoch;
use crate::reason::Reason;
use crate::right::LeaseFence;
use crate::state::WorkerState;
use crate::worker::Worker;

/// How a worker's health is judged: `spec.healthCheck`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthTerms {
    /// From one check to the next.
    pub period: Duration,
    /// What one check may take.
    pub timeout: Duration,
    /// So many failures in a row make a worker lost.
    pub threshold: u32,
}

impl Default for HealthTerms {
    fn default() -> Self {
        let (period, timeout) = (Duration::from_secs(5), Duration::from_secs(3));
        Self { period, timeout, threshold: 3 }
    }
}

/// What one check found: a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Finding {
    /// It answers, and is well.
    Healthy,
    /// It does not answer, or answers that it is not well.
    Failed,
    /// It answers that it will never be well again: its engine is invalidated.
    Broken,
    /// It answers that it was told to stop, and takes nothing new.
    Stopping,
    /// Nobody can tell: the check itself could not be carried out, which is no failure of the
    /// worker's.
    Unclear,
}

/// The count of one worker's failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pulse {
    /// The lease that they were counted for.
    epoch: Option<Epoch>,
    failures: u32,
}

/// What to do after a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Fine,
    /// Mark it lost.
    Lost(Reason),
    /// Drain it: it is stopping already.
    Drain(Reason),
}

impl Pulse {
    /// How often it failed in a row.
    pub const fn failures(self) -> u32 {
        self.failures
    }

    /// Counts one finding of a check that was made at this epoch.
    #[must_use]
    pub fn after(self, finding: Finding, epoch: Epoch, threshold: u32) -> (Self, Verdict) {
        let before = if self.epoch == Some(epoch) { self.failures } else { 0 };
        let (failures, verdict) = match finding {
            Finding::Healthy => (0, Verdict::Fine),
            Finding::Unclear => (before, Verdict::Fine),
            Finding::Broken => (before, Verdict::Lost(Reason::Broken)),
            Finding::Stopping => (0, Verdict::Drain(Reason::PodDeleted)),
            Finding::Failed => {
                let failures = before.saturating_add(1);
                let lost = failures >= threshold.max(1);
                let verdict = if lost { Verdict::Lost(Reason::Unhealthy) } else { Verdict::Fine };
                (failures, verdict)
            }
        };
        (Self { epoch: Some(epoch), failures }, verdict)
    }
}

/// Whether a worker's health is the business of its owner's checks: it serves, or is about to.
/// One that starts is waited for, one that drains may be as silent as it likes.
pub const fn is_checked(worker: &Worker) -> bool {
    use WorkerState::{Activating, Hot, HotIdle, Idle, Reserved};
    matches!(worker.status.state, Idle | Reserved | Activating | Hot | HotIdle)
        && !worker.is_deleting()
}

/// What is true of a worker whose loss its owner could not write down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It is ours at a newer epoch, or nobody can tell: keep everything, look again.
    Again,
    /// It is somebody else's, or went another way: drop it from memory, touch nothing.
    Stale,
    /// It is lost or draining by our own lease: finish the clean-up.
    Ended,
}

/// Classifies a miss by what a consistent read shows now (`None`: the worker is gone).
pub fn disposition(lease: &LeaseFence, now: Option<&Worker>) -> Disposition {
    let ours = now.filter(|worker| {
        worker.key.uid == lease.key.uid && worker.status.owner() == Some(&lease.owner)
    });
    let Some(worker) = ours else { return Disposition::Stale };
    let by_this_lease = worker.status.epoch() == lease.epoch;
    match worker.status.state {
        WorkerState::Lost | WorkerState::Draining if by_this_lease => Disposition::Ended,
        state if state.is_terminal() => Disposition::Stale,
        _ => Disposition::Again,
    }
}
