//! The life of one worker: what its controller does next.

use std::time::Duration;

use jiff::Timestamp;

use super::observed::{PodSeen, Trouble};
use crate::conditions::{self, Condition, ConditionStatus, ConditionType};
use crate::decide::elapsed;
use crate::names::Tenant;
use crate::planted::{Bug, planted};
use crate::reason::Reason;
use crate::right::OwnerStanding;
use crate::state::WorkerState;
use crate::transition::Note;
use crate::worker::{PodRef, Worker};

/// Who looks after the worker now, from the asking instance's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The asker holds its lease.
    Me,
    /// Nobody yet.
    Nobody,
    /// Another controller instance.
    Peer(OwnerStanding),
    /// A control plane that claimed it through the library.
    Foreign(OwnerStanding),
}

/// Whether the asker is the one that rendezvous hashing names for this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is.
    Mine,
    /// Another live instance is.
    Others,
}

/// What is known of the claim that a worker names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimStanding {
    /// It names none.
    None,
    /// The claim is there and wants it.
    Wants,
    /// The claim is gone, or has ended, or has another worker. Another one of the tenant may have
    /// the worker.
    GoneAndReused,
    /// The same, and nobody may.
    GoneForGood,
}

/// Whether a worker's pool names it, without which it is not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatStanding {
    /// It belongs to no pool, or has been started.
    NotNeeded,
    /// Its pool names it.
    Taken,
    /// Its pool does not name it, or not yet.
    Missing,
}

/// Whether our finalizer is on the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalizer {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// What is known of the worker's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretStanding {
    /// This process has not made it.
    NotMade,
    /// This process made it, or it is recorded and there.
    There,
    /// It is recorded, and gone.
    Vanished,
}

/// What the health check says. With protocol None the pod's readiness is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers, or nothing needs to answer.
    Healthy,
    /// Not asked yet, or no answer yet.
    Unknown,
}

/// What is known of the node that the pod is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeStanding {
    /// It takes pods, or the pod has none yet.
    Open,
    /// It is being emptied: an administrator cordoned it.
    Cordoned,
    /// Its Node object is gone, or marked out of service: nothing runs there any more.
    Gone,
}

/// Everything that the plan may know.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The worker.
    pub worker: &'a Worker,
    /// Whether our finalizer is on it.
    pub finalizer: Finalizer,
    /// Who holds it.
    pub holder: Holder,
    /// Whose turn it is when nobody does.
    pub turn: Turn,
    /// Whether its pool names it.
    pub seat: SeatStanding,
    /// The claim that it names.
    pub claim: ClaimStanding,
    /// The pod of its name.
    pub pod: Option<&'a PodSeen>,
    /// The pod's node.
    pub node: NodeStanding,
    /// Its secret.
    pub secret: SecretStanding,
    /// Its health.
    pub health: Health,
    /// The API server's time.
    pub now: Timestamp,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Put the finalizer on.
    AddFinalizer,
    /// Take the new worker.
    AdoptNew,
    /// Take the worker of a dead or leaving owner.
    Adopt,
    /// Make its secret.
    MakeSecret,
    /// Make its pod.
    MakePod,
    /// Write down what was seen.
    Note(Note),
    /// Ask its health check.
    Probe,
    /// It runs.
    Ready(Note),
    /// It is dedicated: claim it for its tenant.
    ClaimDedicated(Tenant),
    /// Begin the activation.
    Activate,
    /// Carry the activation out, then go to Hot.
    FinishActivation,
    /// Its claim is gone: park it for its tenant.
    Release,
    /// The same, before it was activated again.
    Park,
    /// Let it finish and exit.
    Drain(Reason),
    /// Start or activation failed.
    Abandon(Reason),
    /// It ran and is gone.
    MarkLost(Reason),
    /// The same, for a worker that somebody else owns: by snapshot.
    RetireLost(Reason),
    /// Tell its pod to stop, and give it this long.
    StopPod(Duration),
    /// Its node will never say that the pod has stopped: remove the pod's object at once.
    ForcePod,
    /// Its pod is gone: sweep its secrets, then retire it.
    RetireDrained,
    /// It is over and its pod is gone: sweep its secrets, then let go of the object if it is
    /// being deleted.
    Finish,
    /// Delete the object: it has been readable for long enough.
    DeleteObject,
    /// Nothing until something changes, or until this time has passed.
    Wait(Duration),
    /// Nothing until something changes.
    Rest,
}

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
        (_, Holder::Peer(standing) | Holder::Foreign(standing)) => {
            foreign_end(view).map_or_else(|| others(view, standing), Step::RetireLost)
        }
    }
}

fn pending(view: &View<'_>) -> Step {
    match (view.turn, view.worker.is_deleting(), view.finalizer) {
        (Turn::Others, ..) | (Turn::Mine, true, Finalizer::Off) => Step::Rest,
        (Turn::Mine, true, Finalizer::On) => removing(view),
        // Its pool may yet name it, or delete it.
        (Turn::Mine, false, _) if view.seat == SeatStanding::Missing => Step::Rest,
        (Turn::Mine, false, Finalizer::Off) if planted(Bug::NoFinalizer) => Step::AdoptNew,
        (Turn::Mine, false, Finalizer::Off) => Step::AddFinalizer,
        (Turn::Mine, false, Finalizer::On) => Step::AdoptNew,
    }
}

fn mine(view: &View<'_>) -> Step {
    match view.worker.status.state {
        WorkerState::Spawning => spawning(view),
        WorkerState::Draining => draining(view),
        _ => must_end(view).unwrap_or_else(|| serving(view)),
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

fn spawning(view: &View<'_>) -> Step {
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

/// What a worker's secret is called.
pub fn secret_name(worker: &Worker) -> String {
    format!("{}-rpc", worker.key.name)
}

fn pod_ref(view: &View<'_>, pod: &PodSeen) -> PodRef {
    let name = view.worker.key.name.clone();
    PodRef { name, uid: pod.uid.clone(), ip: pod.ip.clone() }
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

/// A note of this condition, unless the status says the same already.
pub fn note_once(worker: &Worker, condition: Condition) -> Option<Note> {
    let mut known = worker.status.conditions.iter();
    let news = !known.any(|old| old.says_the_same(&condition));
    news.then(|| Note { conditions: vec![condition], ..Note::default() })
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

/// Why a worker that serves (or is about to) must stop, and how.
fn must_end(view: &View<'_>) -> Option<Step> {
    if view.worker.is_deleting() {
        return Some(Step::Drain(Reason::Deleted));
    }
    let pod = view.pod.filter(|pod| is_recorded(view, pod));
    match pod {
        None => return Some(Step::MarkLost(Reason::PodGone)),
        Some(pod) => {
            if let Some(why) = pod.ended() {
                return Some(Step::MarkLost(why.reason));
            }
            if let Some(stop) = &pod.stop {
                return Some(Step::Drain(stop.why.reason));
            }
        }
    }
    if view.secret == SecretStanding::Vanished {
        return Some(Step::Drain(Reason::SecretLost));
    }
    (view.node == NodeStanding::Cordoned).then_some(Step::Drain(Reason::NodeCordoned))
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

fn draining(view: &View<'_>) -> Step {
    match view.pod.filter(|pod| pod.is_ours()) {
        None => Step::RetireDrained,
        Some(pod) => stopping(view, pod),
    }
}

/// How long a kubelet may take beyond a pod's grace before its node counts as silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A pod that must go. The watch tells when it is gone; only for a node that does not answer is
/// there more to do.
fn stopping(view: &View<'_>, pod: &PodSeen) -> Step {
    if planted(Bug::DrainWithoutStop) {
        return Step::Rest;
    }
    let Some(stop) = &pod.stop else { return Step::StopPod(view.worker.spec.drain_timeout) };
    if view.node == NodeStanding::Gone {
        return Step::ForcePod;
    }
    let late = elapsed(stop.by, view.now);
    if late < SILENCE {
        let left = SILENCE.saturating_sub(late) + elapsed(view.now, stop.by);
        return Step::Wait(left);
    }
    silent_node_note(view, pod).map_or(Step::Rest, Step::Note)
}

/// The condition that says why a pod is not gone yet, unless the status says so already. While
/// its Node object is there, its process may run on, so its object is left alone.
fn silent_node_note(view: &View<'_>, pod: &PodSeen) -> Option<Note> {
    if view.holder != Holder::Me || view.worker.status.state.is_terminal() {
        return None;
    }
    let node = pod.node.as_deref().unwrap_or("none");
    let condition = Condition::new(
        ConditionType::NodeUnreachable,
        ConditionStatus::True,
        "PodNotGone",
        format!(
            "its pod was told to stop, and node {node} does not say that it has; delete the Node \
             or taint it node.kubernetes.io/out-of-service if it is gone for good"
        ),
        view.now,
    );
    note_once(view.worker, condition)
}

/// Retired or lost. Its owner cleans up if it is a live controller; else whoever's turn it is.
fn over(view: &View<'_>) -> Step {
    let responsible = match view.holder {
        Holder::Me => true,
        Holder::Peer(OwnerStanding::Live) => false,
        _ => view.turn == Turn::Mine,
    };
    if !responsible {
        return Step::Rest;
    }
    match view.finalizer {
        Finalizer::On if view.worker.is_deleting() => removing(view),
        _ if view.pod.is_some_and(PodSeen::is_ours) => removing(view),
        _ if view.secret == SecretStanding::There => Step::Finish,
        _ if view.worker.is_deleting() => Step::Rest,
        _ => finished(view),
    }
}

/// First its pod, then its secrets and the finalizer.
fn removing(view: &View<'_>) -> Step {
    match view.pod.filter(|pod| pod.is_ours()) {
        Some(pod) => stopping(view, pod),
        None => Step::Finish,
    }
}

fn finished(view: &View<'_>) -> Step {
    let Some(ttl) = view.worker.spec.ttl_after_finished else { return Step::Rest };
    remaining(view, ttl).map_or(Step::DeleteObject, Step::Wait)
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

/// The pod of a worker that somebody else owns has ended: anyone may say so.
fn foreign_end(view: &View<'_>) -> Option<Reason> {
    if view.turn == Turn::Others || view.worker.status.state.is_condemned() {
        return None;
    }
    let recorded = view.worker.status.pod.as_ref()?;
    match view.pod.filter(|pod| pod.uid == recorded.uid) {
        None => Some(Reason::PodGone),
        Some(pod) => pod.ended().map(|why| why.reason),
    }
}

/// What is left of a time-out that began with the state; `None` when it is over.
fn remaining(view: &View<'_>, limit: Duration) -> Option<Duration> {
    left_of(view.worker, limit, view.now)
}

/// What is left of the time for the start; `None` when it is over.
pub fn startup_left(worker: &Worker, now: Timestamp) -> Option<Duration> {
    left_of(worker, worker.spec.startup_timeout, now)
}

fn left_of(worker: &Worker, limit: Duration, now: Timestamp) -> Option<Duration> {
    let since = worker.status.state_since.unwrap_or(now);
    let left = limit.saturating_sub(elapsed(since, now));
    (!left.is_zero()).then_some(left)
}
