//! Conditions: what a status says to people and to tools that know no states.

use jiff::Timestamp;
use strum::{Display, EnumString, IntoStaticStr};

use crate::reason::Reason;
use crate::state::WorkerState;
use crate::table::TransitionName;
use crate::worker::{RecordedName, Worker, WorkerStatus};

/// The types of condition that we set on a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, IntoStaticStr)]
pub enum ConditionType {
    /// It can be used: idle in the pool, or hot for its tenant.
    Ready,
    /// It will not get better by waiting (kstatus: Failed).
    Stalled,
    /// The pod or the secret of its name is somebody else's.
    NameConflict,
    /// Its pod cannot start, and why.
    PodBlocked,
    /// Its node does not answer; its pod is not touched until the node is gone.
    NodeUnreachable,
    /// Its tenant has all the workers that it may have; it waits for its turn.
    TenantAtCap,
    /// The template's grace period is shorter than `drainTimeoutSeconds`.
    GraceShortened,
}

/// True, False, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, IntoStaticStr)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can tell.
    Unknown,
}

/// One condition. Its type and reason are texts, since a newer version may set others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which.
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word why.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// The generation that it was judged by.
    pub observed_generation: Option<i64>,
    /// When its status last changed.
    pub since: Timestamp,
}

impl Condition {
    /// A condition of ours.
    pub fn new(
        kind: ConditionType,
        status: ConditionStatus,
        reason: impl Into<String>,
        message: impl Into<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            kind: kind.to_string(),
            status,
            reason: reason.into(),
            message: message.into(),
            observed_generation: None,
            since: now,
        }
    }

    /// The same statement: type, status, reason and message, whenever it was made.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.status == other.status
            && self.reason == other.reason
            && self.message == other.message
    }
}

/// Sets one condition; its time stays when its status does.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|old| old.kind == new.kind) {
        Some(old) => {
            if old.status == new.status {
                new.since = old.since;
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// The condition of this type.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    let kind: &str = kind.into();
    conditions.iter().find(|c| c.kind == kind)
}

fn clear(conditions: &mut Vec<Condition>, kind: ConditionType) {
    let kind: &str = kind.into();
    conditions.retain(|c| c.kind != kind);
}

/// Makes the conditions that follow from the state follow it: part of every write.
pub(crate) fn follow_state(status: &mut WorkerStatus, worker: &Worker, now: Timestamp) {
    match status.state {
        // Nothing is left that could be ready: kstatus reads "Current".
        WorkerState::Retired => clear(&mut status.conditions, ConditionType::Ready),
        state => {
            let (holds, message) = readiness(state, worker);
            let ready =
                Condition::new(ConditionType::Ready, holds, state.to_string(), message, now);
            set(&mut status.conditions, ready);
        }
    }
    if let Some((reason, message)) = failure(status) {
        let stalled =
            Condition::new(ConditionType::Stalled, ConditionStatus::True, reason, message, now);
        set(&mut status.conditions, stalled);
    }
    if status.state != WorkerState::Spawning {
        pod_made(status);
    }
    if status.state != WorkerState::Idle {
        clear(&mut status.conditions, ConditionType::TenantAtCap);
    }
    for condition in &mut status.conditions {
        condition.observed_generation = Some(worker.generation);
    }
}

/// Why it ended otherwise than in good order, for good: a word and a sentence.
fn failure(status: &WorkerStatus) -> Option<(String, &'static str)> {
    let last = status.transitions.first();
    let reason = last.and_then(|last| last.reason.clone());
    match status.state {
        WorkerState::Lost => Some((
            reason.unwrap_or_else(|| Reason::Crashed.to_string()),
            "the worker ran and is gone; it is not restarted: create another",
        )),
        // One that nobody wants any more ends in good order, also on its way.
        WorkerState::Retired => {
            let abandoned = RecordedName::Known(TransitionName::Abandon);
            let reason = last.filter(|last| last.name == abandoned).and(reason);
            let failed = reason.filter(|reason| *reason != Reason::Released.to_string());
            failed.map(|reason| (reason, "the worker never came to be used: create another"))
        }
        _ => None,
    }
}

/// Nothing stands in the way of the pod any more.
pub(crate) fn pod_made(status: &mut WorkerStatus) {
    clear(&mut status.conditions, ConditionType::PodBlocked);
    clear(&mut status.conditions, ConditionType::NameConflict);
}

fn readiness(state: WorkerState, worker: &Worker) -> (ConditionStatus, &'static str) {
    use ConditionStatus as C;
    match state {
        WorkerState::Pending => (C::Unknown, "waiting for a controller"),
        WorkerState::Spawning => (C::False, "its pod is being started"),
        WorkerState::Idle if worker.spec.dedicated_to.is_some() => {
            (C::False, "its pod runs; the tenant is not activated yet")
        }
        WorkerState::Idle => (C::True, "runs and is free"),
        WorkerState::Reserved => (C::False, "assigned to a tenant, not activated yet"),
        WorkerState::Activating => (C::False, "the tenant is being activated"),
        WorkerState::Hot => (C::True, "serves its tenant"),
        WorkerState::HotIdle => (C::True, "runs, parked for its tenant"),
        WorkerState::Draining => (C::False, "finishes its sessions and exits"),
        WorkerState::Retired | WorkerState::Lost => (C::False, "ended"),
    }
}
