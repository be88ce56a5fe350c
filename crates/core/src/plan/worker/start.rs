//! From Spawning to Idle: secret, pod, first sight, readiness.

use std::time::Duration;

use jiff::Timestamp;

use super::view::{Health, SecretStanding, Step, View};
use super::{is_recorded, left_of, note_once, pod_ref, remaining, secret_name};
use crate::conditions::{self, Condition, ConditionStatus, ConditionType};
use crate::plan::observed::{PodSeen, Trouble};
use crate::planted::{Bug, planted};
use crate::reason::Reason;
use crate::transition::Note;
use crate::worker::Worker;

pub(super) fn spawning(view: &View<'_>) -> Step {
    let status = &view.worker.status;
    if view.worker.is_deleting() {
        return Step::Drain(Reason::Deleted);
    }
    if view.secret == SecretStanding::Vanished {
        return Step::Drain(Reason::SecretLost);
    }
    let overdue = remaining(view, view.worker.spec.startup_timeout).is_none();
    match view.pod.filter(|pod| pod.is_ours() && is_recorded(view, pod)) {
        Some(pod) => starting(view, pod),
        // A worker has one pod in its life; a namesake is no second one.
        None if status.pod.is_some() && !planted(Bug::SecondPod) => Step::Abandon(Reason::PodGone),
        None if overdue => Step::Abandon(why_not_started(view)),
        None if view.secret == SecretStanding::NotMade => Step::MakeSecret,
        None => Step::MakePod,
    }
}

fn starting(view: &View<'_>, pod: &PodSeen) -> Step {
    let status = &view.worker.status;
    if let Some(why) = pod.ended() {
        return Step::Abandon(why.reason);
    }
    if let Some(stop) = &pod.stop {
        return Step::Abandon(stop.why.reason);
    }
    if status.pod.is_none() {
        return Step::Note(first_sight(view, pod));
    }
    if pod.serves() {
        if view.health == Health::Healthy {
            return Step::Ready(Note { pod: Some(pod_ref(view, pod)), ..Note::default() });
        }
        return match remaining(view, view.worker.spec.startup_timeout) {
            Some(_) => Step::Probe,
            None => Step::Abandon(Reason::Unhealthy),
        };
    }
    match remaining(view, view.worker.spec.startup_timeout) {
        None => Step::Abandon(why_not_started(view)),
        Some(left) => pod
            .blocked()
            .and_then(|trouble| blocked_note(view, trouble))
            .map_or(Step::Wait(left), Step::Note),
    }
}

/// The pod that was made, and the secret that it mounts.
fn first_sight(view: &View<'_>, pod: &PodSeen) -> Note {
    Note {
        pod: Some(pod_ref(view, pod)),
        secret_name: Some(secret_name(view.worker)),
        ..Note::default()
    }
}

/// The condition that says what is in the way of a pod, unless the status says so already.
pub fn blocked_note(view: &View<'_>, trouble: &Trouble) -> Option<Note> {
    blocked_note_of(view.worker, trouble, view.now)
}

/// The same for a pod that could not even be created.
pub fn blocked_note_of(worker: &Worker, trouble: &Trouble, now: Timestamp) -> Option<Note> {
    let condition = Condition::new(
        ConditionType::PodBlocked,
        ConditionStatus::True,
        trouble.reason.to_string(),
        trouble.message.clone(),
        now,
    );
    note_once(worker, condition)
}

fn why_not_started(view: &View<'_>) -> Reason {
    let seen = view.pod.and_then(PodSeen::blocked).map(|trouble| trouble.reason);
    let noted = || {
        [ConditionType::PodBlocked, ConditionType::NameConflict]
            .into_iter()
            .find_map(|kind| conditions::find(&view.worker.status.conditions, kind))
            .and_then(|condition| condition.reason.parse().ok())
    };
    seen.or_else(noted).unwrap_or(Reason::StartupTimeout)
}

/// What is left of the time for the start; `None` when it is over.
pub fn startup_left(worker: &Worker, now: Timestamp) -> Option<Duration> {
    left_of(worker, worker.spec.startup_timeout, now)
}
