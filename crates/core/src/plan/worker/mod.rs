//! The life of one worker: what its controller does next.
//!
//! | file | holds |
//! |---|---|
//! | [`view`] | what the plan may know, and the steps that it names |
//! | `start.rs` | from Spawning to Idle |
//! | `mod.rs` | whose it is, and what it does while it serves |
//! | `mark.rs` | whether its pod is marked busy or idle |
//! | `end.rs` | why and how it ends |

mod end;
mod mark;
mod start;
pub mod view;

use std::time::Duration;

use jiff::Timestamp;

use self::end::{draining, emptied, foreign_end, must_end, over, removing};
use self::mark::{foreign_marking, marking};
use self::start::spawning;
pub use self::start::{blocked_note, blocked_note_of, startup_left};
pub use self::view::{
    ClaimStanding, Finalizer, Health, Holder, NodeStanding, SeatStanding, SecretStanding, Step,
    TenantStanding, Turn, View,
};
use super::observed::PodSeen;
use crate::conditions::Condition;
use crate::decide::elapsed;
use crate::planted::{Bug, planted};
use crate::reason::Reason;
use crate::right::OwnerStanding;
use crate::state::WorkerState;
use crate::transition::Note;
use crate::worker::{PodRef, Worker};

/// The next step for this worker.
pub fn next(view: &View<'_>) -> Step {
    let worker = view.worker;
    match (worker.status.state, view.holder) {
        (WorkerState::Pending, _) => pending(view),
        (WorkerState::Retired | WorkerState::Lost, _) => over(view),
        (_, Holder::Me) => observed(view, mine(view)),
        (_, Holder::Nobody) => Step::Rest,
        (_, Holder::Peer(standing)) if standing != OwnerStanding::Absent => others(view, standing),
        // Its owner may not look, so whoever sees the pod's end says so. Without a Lease nobody
        // can tell what kind of program the owner was.
        (_, Holder::Peer(standing) | Holder::Foreign(standing)) => foreign_end(view)
            .map(Step::RetireLost)
            .or_else(|| emptied(view))
            .or_else(|| foreign_marking(view))
            .unwrap_or_else(|| others(view, standing)),
    }
}

fn pending(view: &View<'_>) -> Step {
    match (view.turn, view.worker.is_deleting(), view.finalizer) {
        (Turn::Others, ..) | (Turn::Mine, true, Finalizer::Off) => Step::Rest,
        (Turn::Mine, true, Finalizer::On) => removing(view),
        // Its pool may yet name it, or delete it.
        (Turn::Mine, false, _)
            if view.seat == SeatStanding::Missing && !planted(Bug::SeatIgnored) =>
        {
            Step::Rest
        }
        (Turn::Mine, false, Finalizer::Off) if planted(Bug::NoFinalizer) => Step::AdoptNew,
        (Turn::Mine, false, Finalizer::Off) => Step::AddFinalizer,
        (Turn::Mine, false, Finalizer::On) => Step::AdoptNew,
    }
}

fn mine(view: &View<'_>) -> Step {
    match view.worker.status.state {
        WorkerState::Spawning => spawning(view),
        WorkerState::Draining => draining(view),
        _ => must_end(view).or_else(|| marking(view)).unwrap_or_else(|| serving(view)),
    }
}

/// Where there is nothing else to do, a change of the spec is acknowledged: tools wait for
/// `observedGeneration` before they believe a condition.
fn observed(view: &View<'_>, step: Step) -> Step {
    let idle = matches!(step, Step::Rest | Step::Wait(_));
    if idle && view.worker.status.observed_generation != Some(view.worker.generation) {
        return Step::Note(Note::default());
    }
    step
}

/// What a worker's secret is called.
pub fn secret_name(worker: &Worker) -> String {
    format!("{}-rpc", worker.key.name)
}

fn pod_ref(view: &View<'_>, pod: &PodSeen) -> PodRef {
    let name = view.worker.key.name.clone();
    PodRef { name, uid: pod.uid.clone(), ip: pod.ip.clone() }
}

/// A note of this condition, unless the status says the same already.
pub fn note_once(worker: &Worker, condition: Condition) -> Option<Note> {
    let mut known = worker.status.conditions.iter();
    let news = !known.any(|old| old.says_the_same(&condition));
    news.then(|| Note { conditions: vec![condition], ..Note::default() })
}

fn is_recorded(view: &View<'_>, pod: &PodSeen) -> bool {
    view.worker.status.pod.as_ref().is_none_or(|recorded| recorded.uid == pod.uid)
}

fn serving(view: &View<'_>) -> Step {
    let worker = view.worker;
    let bound = worker.spec.dedicated_to.is_some() || worker.status.claim.is_some();
    if let Some(step) = unclaimed(view) {
        return step;
    }
    match worker.status.state {
        WorkerState::Idle => match &worker.spec.dedicated_to {
            Some(tenant) => Step::ClaimDedicated(tenant.clone()),
            None => Step::Rest,
        },
        WorkerState::Reserved if bound => Step::Activate,
        WorkerState::Activating if bound => match remaining(view, worker.spec.activation_timeout) {
            Some(_) => Step::FinishActivation,
            None => Step::Abandon(Reason::ActivationTimeout),
        },
        _ => Step::Rest,
    }
}

/// What becomes of a worker whose claim is gone. One that is being activated goes on, if its
/// tenant may use it again: it is parked when that is done.
fn unclaimed(view: &View<'_>) -> Option<Step> {
    use ClaimStanding as C;
    let status = &view.worker.status;
    match (status.state, view.claim) {
        (WorkerState::Hot, C::GoneAndReused) => Some(Step::Release),
        (WorkerState::Hot, C::GoneForGood) => Some(Step::Drain(Reason::Released)),
        (WorkerState::Reserved, C::GoneAndReused) if status.was_hot() => Some(Step::Park),
        (WorkerState::Reserved | WorkerState::Activating, C::GoneForGood) => {
            Some(Step::Abandon(Reason::Released))
        }
        _ => None,
    }
}

fn others(view: &View<'_>, standing: OwnerStanding) -> Step {
    let worker = view.worker;
    if view.turn == Turn::Others {
        return Step::Rest;
    }
    let gives_up = standing.gives_up() || planted(Bug::AdoptFromTheLiving);
    if gives_up && is_adoptable(worker) {
        return Step::Adopt;
    }
    match worker.deletion {
        None => Step::Rest,
        Some(since) => {
            let left = worker.spec.drain_timeout.saturating_sub(elapsed(since, view.now));
            let now = left.is_zero() || planted(Bug::DeletionIsConsent);
            if now { Step::Adopt } else { Step::Wait(left) }
        }
    }
}

/// Whether a worker outlives its owner. One that a control plane claimed for itself holds
/// sessions in that process and does not.
pub fn is_adoptable(worker: &Worker) -> bool {
    let status = &worker.status;
    status.tenant.is_none()
        || status.claim.is_some()
        || worker.spec.dedicated_to.is_some()
        || matches!(status.state, WorkerState::HotIdle | WorkerState::Draining)
}

/// What is left of a time-out that began with the state; `None` when it is over.
fn remaining(view: &View<'_>, limit: Duration) -> Option<Duration> {
    left_of(view.worker, limit, view.now)
}

fn left_of(worker: &Worker, limit: Duration, now: Timestamp) -> Option<Duration> {
    let since = worker.status.state_since.unwrap_or(now);
    let left = limit.saturating_sub(elapsed(since, now));
    (!left.is_zero()).then_some(left)
}
