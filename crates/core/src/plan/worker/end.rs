//! The end of a worker: why it must come, the pod's stop, and what is left to clean up.

use std::time::Duration;

use super::view::{
    Finalizer, Holder, NodeStanding, SecretStanding, Step, TenantStanding, Turn, View,
};
use super::{is_recorded, note_once, remaining};
use crate::conditions::{Condition, ConditionStatus, ConditionType};
use crate::decide::elapsed;
use crate::plan::observed::PodSeen;
use crate::planted::{Bug, planted};
use crate::reason::Reason;
use crate::right::OwnerStanding;
use crate::transition::Note;

/// Why a worker that serves (or is about to) must stop, and how.
pub(super) fn must_end(view: &View<'_>) -> Option<Step> {
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
    if view.tenant == TenantStanding::Gone {
        return Some(Step::Drain(Reason::TenantDeleted));
    }
    (view.node == NodeStanding::Cordoned).then_some(Step::Drain(Reason::NodeCordoned))
}

/// The pod of a worker that somebody else owns has ended: anyone may say so.
pub(super) fn foreign_end(view: &View<'_>) -> Option<Reason> {
    if view.turn == Turn::Others || view.worker.status.state.is_condemned() {
        return None;
    }
    let recorded = view.worker.status.pod.as_ref()?;
    match view.pod.filter(|pod| pod.uid == recorded.uid) {
        None => Some(Reason::PodGone),
        Some(pod) => pod.ended().map(|why| why.reason),
    }
}

/// A control plane's worker on a node that is being emptied. Its pool keeps the pod from eviction,
/// and the control plane need not look at nodes: so the object is deleted, which its owner drains
/// it for; who does not in time is adopted from.
pub(super) fn emptied(view: &View<'_>) -> Option<Step> {
    let worker = view.worker;
    let lives = Holder::Foreign(OwnerStanding::Live);
    let held = view.holder == lives && worker.pool.is_some();
    let asked = worker.is_deleting() || worker.status.state.is_condemned();
    let due = view.turn == Turn::Mine && view.node == NodeStanding::Cordoned;
    (held && due && !asked).then_some(Step::DeleteObject)
}

pub(super) fn draining(view: &View<'_>) -> Step {
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
pub(super) fn over(view: &View<'_>) -> Step {
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
pub(super) fn removing(view: &View<'_>) -> Step {
    match view.pod.filter(|pod| pod.is_ours()) {
        Some(pod) => stopping(view, pod),
        None => Step::Finish,
    }
}

fn finished(view: &View<'_>) -> Step {
    let Some(ttl) = view.worker.spec.ttl_after_finished else { return Step::Rest };
    remaining(view, ttl).map_or(Step::DeleteObject, Step::Wait)
}
