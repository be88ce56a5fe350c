//! What becomes of a message that arrives, and the rules that it must keep.

use duckworker_core::edges::edges;
use duckworker_core::{TransitionName, WorkerState};

use crate::state::{Message, Object, Pod, Put, Slot, State, pod_uid};

/// A message arrives.
pub fn deliver(state: &mut State, message: &Message) {
    match message {
        Message::Put(put) => write(state, put),
        Message::MakePod { worker } => make_pod(state, *worker),
        Message::StopPod { worker, number } => stop_pod(state, *worker, *number),
    }
    forget_the_hopeless(state);
}

/// A write over an old version will never land, whenever it arrives.
fn forget_the_hopeless(state: &mut State) {
    let workers = &state.workers;
    state.network.retain(|message| match message {
        Message::Put(put) => version(&workers[put.worker]) == Some(put.base),
        Message::MakePod { .. } => true,
        Message::StopPod { worker, number } => {
            workers[*worker].pod.is_some_and(|pod| pod.number == *number && !pod.stopped)
        }
    });
}

fn version(slot: &Slot) -> Option<u8> {
    slot.object.as_ref().map(|object| object.version)
}

fn write(state: &mut State, put: &Put) {
    let slot = &mut state.workers[put.worker];
    let Some(object) = slot.object.as_mut().filter(|object| object.version == put.base) else {
        return;
    };
    let (old, new) = (object.worker.status.clone(), &put.status);
    let rises = old.epoch() != new.epoch();
    let edge = edges()
        .iter()
        .any(|edge| (edge.from, edge.to, edge.epoch_rises) == (old.state, new.state, rises));
    let noted = old.state == new.state && old.state == WorkerState::Pending;
    if !(edge || noted) {
        state.broken.insert("S2 every change is in the table");
    }
    if let Some(ownership) = &new.ownership {
        let owner =
            slot.owners.entry(ownership.epoch.get()).or_insert_with(|| ownership.owner.clone());
        if *owner != ownership.owner {
            state.broken.insert("S1 an epoch has one owner");
        }
    }
    if old.tenant.is_some() && old.tenant != new.tenant {
        state.broken.insert("S11 a tenant is for ever");
    }
    let late = slot.pod.filter(|pod| pod.late).map(|pod| pod_uid(put.worker, pod.number));
    let recorded = new.pod.as_ref().filter(|_| old.pod.is_none()).map(|pod| pod.uid.clone());
    if recorded.is_some() && recorded == late {
        state.broken.insert("S14 a late pod is never used");
    }
    let name = new.transitions.first().map(|record| record.name.as_str().to_owned());
    let drained: &str = TransitionName::RetireDrained.into();
    let retired = old.state == WorkerState::Draining && new.state == WorkerState::Retired;
    let own = old.pod.as_ref().zip(slot.pod);
    let there = own.is_some_and(|(old, pod)| old.uid == pod_uid(put.worker, pod.number));
    if retired && name.as_deref() == Some(drained) && there {
        state.broken.insert("S13 drained means that the pod is gone");
    }
    object.worker.status = new.clone();
    object.version += 1;
}

fn make_pod(state: &mut State, worker: usize) {
    let slot = &mut state.workers[worker];
    if slot.pod.is_some() {
        return;
    }
    let late = slot.object.as_ref().is_none_or(is_ending);
    if slot.pods > 0 && !late {
        state.broken.insert("S9 a worker has one pod");
    }
    slot.pods += 1;
    let number = slot.pods;
    slot.pod = Some(Pod { number, ready: false, ended: false, stopped: false, late });
}

fn stop_pod(state: &mut State, worker: usize, number: u8) {
    let slot = &mut state.workers[worker];
    let Some(pod) = slot.pod.as_mut().filter(|pod| pod.number == number) else { return };
    if !slot.object.as_ref().is_none_or(is_ending) {
        state.broken.insert("S7 only the condemned lose their pod");
    }
    pod.stopped = true;
}

/// No way leads it back.
pub fn is_ending(object: &Object) -> bool {
    object.worker.status.state.is_condemned() || object.worker.is_deleting()
}

/// The finalizer goes, and with it the object.
pub fn let_go(state: &mut State, worker: usize) {
    let slot = &mut state.workers[worker];
    if slot.pod.is_some_and(|pod| !pod.late) || slot.secret.is_some() {
        state.broken.insert("S13 nothing is left behind");
    }
    slot.object = None;
    forget_the_hopeless(state);
}
