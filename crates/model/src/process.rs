//! What a process does next. It asks core, as the controller does.

use std::time::Duration;

use duckworker_core::plan::janitor::Limits;
use duckworker_core::plan::janitor::workers::{WorkerSeen, is_orphaned, is_stuck};
use duckworker_core::plan::observed::{PodPhase, PodSeen, PodStop, Readiness, Trouble, Whose};
use duckworker_core::plan::worker::{
    ClaimStanding, Finalizer, Health, Holder, NodeStanding, SeatStanding, SecretStanding, Step,
    TenantStanding, Turn, View, next,
};
use duckworker_core::pool::Disruption;
use duckworker_core::{
    Facts, LeaseFence, OwnerStanding, Reason, Right, Room, SnapshotFence, Terminal, Transition,
    Worker, WorkerState, WriteId, decide,
};

use crate::server::let_go;
use crate::state::{Book, Message, Object, Put, State, pod_uid, tenant};

/// The janitor's limits: an hour is longer than each.
const LIMITS: Limits = Limits {
    orphan_grace: Duration::from_secs(30),
    stranded_grace: Duration::from_mins(2),
    stuck_spawning: Duration::from_mins(10),
    stuck_activating: Duration::from_mins(5),
    stuck_margin: Duration::from_mins(2),
    draining_limit: Duration::from_mins(30),
    instance_retention: Duration::from_hours(1),
};

/// A consistent read: what is undecided is decided by it, if it can be.
pub fn look(state: &mut State, process: usize, worker: usize) {
    let stored = state.workers[worker].object.clone();
    let owner = state.processes[process].owner.clone();
    let book = &mut state.processes[process].books[worker];
    if let (Some(put), Some(stored)) = (&book.doubt, &stored) {
        let landed = stored.worker.status.writes.ids.contains(&put.id);
        if !landed && stored.version == put.base {
            // It may land yet. The same bytes go out again; nothing else is begun.
            state.network.insert(Message::Put(Box::new(put.clone())));
            return;
        }
    }
    book.doubt = None;
    book.held = stored.as_ref().and_then(|stored| {
        let status = &stored.worker.status;
        let mine = status.owner() == Some(&owner) && !status.state.is_terminal();
        let key = stored.worker.key.clone();
        mine.then(|| LeaseFence { key, owner, epoch: status.epoch() })
    });
    book.seen = stored;
}

/// The next step of the worker's plan. False: there is nothing to do.
pub fn plan(state: &mut State, process: usize, worker: usize) -> bool {
    let Some(seen) = ready(state, process, worker) else { return false };
    let pod = pod_seen(state, worker);
    let view = View {
        worker: &seen.worker,
        finalizer: if seen.finalizer { Finalizer::On } else { Finalizer::Off },
        holder: holder(state, process, &seen.worker),
        // The worst case: everyone believes that it is his.
        turn: Turn::Mine,
        pod: pod.as_ref(),
        node: NodeStanding::Open,
        disruption: Disruption::Protect,
        secret: secret(state, process, worker, &seen.worker),
        claim: ClaimStanding::None,
        tenant: TenantStanding::Welcome,
        seat: SeatStanding::NotNeeded,
        health: Health::Healthy,
        now: state.now(),
    };
    let step = next(&view);
    carry_out(state, process, worker, &seen, step)
}

/// What a janitor makes of the worker. False: nothing.
pub fn sweep(state: &mut State, process: usize, worker: usize) -> bool {
    let Some(seen) = ready(state, process, worker) else { return false };
    let status = &seen.worker.status;
    let suspect = WorkerSeen {
        worker: &seen.worker,
        holder: holder(state, process, &seen.worker),
        ownerless_for: Duration::from_hours(u64::from(state.clock)),
        since: status.state_since.unwrap_or_else(|| state.now()),
    };
    let transition = if is_orphaned(&suspect, &LIMITS) {
        Transition::RetireOrphanFromSnapshot(Terminal::Retired, Reason::Orphaned)
    } else if is_stuck(&suspect, state.now(), &LIMITS) {
        Transition::RetireFromSnapshot(Terminal::Retired, Reason::Stuck)
    } else {
        return false;
    };
    put(state, process, worker, &seen, &transition)
}

/// What a program does with a worker that it claimed. False: nothing.
pub fn serve(state: &mut State, process: usize, worker: usize) -> bool {
    let Some(seen) = ready(state, process, worker) else { return false };
    let holds = state.processes[process].books[worker].held.is_some();
    let claim = || Transition::ClaimHotIdle { tenant: tenant(), version: None, claim: None };
    let transition = match (seen.worker.status.state, holds) {
        (WorkerState::Idle, _) => Transition::ClaimIdle { tenant: tenant(), claim: None },
        (WorkerState::HotIdle, _) => claim(),
        (WorkerState::Hot, true) => Transition::Release,
        (WorkerState::Hot, false) => {
            let expected = seen.worker.status.epoch();
            Transition::TakeOver { tenant: tenant(), expected }
        }
        (WorkerState::Reserved, true) => Transition::Activate,
        (WorkerState::Activating, true) => Transition::Activated { credentials_expire_at: None },
        _ => return false,
    };
    put(state, process, worker, &seen, &transition)
}

/// What the process knows, unless a write is undecided: then nothing else is begun.
fn ready(state: &State, process: usize, worker: usize) -> Option<Object> {
    let book = &state.processes[process].books[worker];
    book.seen.clone().filter(|_| book.doubt.is_none())
}

fn standing(state: &State, worker: &Worker) -> OwnerStanding {
    match worker.status.owner().and_then(|owner| state.instances.get(owner)) {
        Some(false) => OwnerStanding::Live,
        Some(true) => OwnerStanding::Expired,
        None => OwnerStanding::Absent,
    }
}

fn holder(state: &State, process: usize, worker: &Worker) -> Holder {
    match worker.status.owner() {
        None => Holder::Nobody,
        Some(owner) if *owner == state.processes[process].owner => Holder::Me,
        Some(_) => Holder::Peer(standing(state, worker)),
    }
}

fn pod_seen(state: &State, worker: usize) -> Option<PodSeen> {
    let pod = state.workers[worker].pod?;
    let phase = match (pod.ended, pod.ready) {
        (true, _) => PodPhase::Ended(Trouble::new(Reason::Crashed, "it ended")),
        (false, true) => PodPhase::Running(Readiness::Ready),
        (false, false) => PodPhase::Starting { blocked: None },
    };
    let why = Trouble::new(Reason::PodDeleted, "somebody stopped it");
    Some(PodSeen {
        uid: pod_uid(worker, pod.number),
        whose: Whose::Ours,
        phase,
        stop: pod.stopped.then(|| PodStop { why, by: state.now() }),
        ip: None,
        node: None,
        mark: None,
    })
}

fn secret(state: &State, process: usize, worker: usize, seen: &Worker) -> SecretStanding {
    let made = state.processes[process].books[worker].made_secret;
    let there = state.workers[worker].secret.is_some();
    match seen.status.state {
        WorkerState::Pending => SecretStanding::NotMade,
        state if state.is_condemned() && there => SecretStanding::There,
        state if state.is_condemned() => SecretStanding::NotMade,
        _ if seen.status.secret_name.is_none() && !made => SecretStanding::NotMade,
        _ if there => SecretStanding::There,
        _ => SecretStanding::Vanished,
    }
}

fn carry_out(state: &mut State, process: usize, worker: usize, seen: &Object, step: Step) -> bool {
    match step {
        Step::AddFinalizer => finalize(state, process, worker, seen),
        Step::MakeSecret => make_secret(state, process, worker),
        Step::MakePod => {
            let made = state.processes[process].books[worker].made_secret;
            made && state.network.insert(Message::MakePod { worker })
        }
        Step::StopPod(_) => stop(state, worker, seen),
        Step::Finish => finish(state, worker, seen),
        Step::RetireDrained => {
            // The proof of it: no pod by a consistent read, then every secret swept.
            if state.workers[worker].pod.is_some() {
                return false;
            }
            state.workers[worker].secret = None;
            put(state, process, worker, seen, &Transition::RetireDrained)
        }
        step => transition_of(step).is_some_and(|t| put(state, process, worker, seen, &t)),
    }
}

fn transition_of(step: Step) -> Option<Transition> {
    Some(match step {
        Step::AdoptNew => Transition::AdoptNew,
        Step::Adopt => Transition::Adopt,
        Step::Note(note) => Transition::Note(note),
        Step::Ready(note) => Transition::Ready(note),
        Step::ClaimDedicated(tenant) => Transition::ClaimIdle { tenant, claim: None },
        Step::Activate => Transition::Activate,
        Step::FinishActivation => Transition::Activated { credentials_expire_at: None },
        Step::Drain(reason) => Transition::Drain(reason),
        Step::Abandon(reason) => Transition::Abandon(reason),
        Step::MarkLost(reason) => Transition::MarkLost(reason),
        Step::RetireLost(reason) => Transition::RetireFromSnapshot(Terminal::Lost, reason),
        _ => return None,
    })
}

fn finalize(state: &mut State, process: usize, worker: usize, seen: &Object) -> bool {
    let Some(object) = &mut state.workers[worker].object else { return false };
    if object.version != seen.version {
        return false;
    }
    object.finalizer = true;
    object.version += 1;
    state.processes[process].books[worker].seen = Some(object.clone());
    true
}

/// A predecessor's secret is replaced while there is no pod.
fn make_secret(state: &mut State, process: usize, worker: usize) -> bool {
    let slot = &mut state.workers[worker];
    if slot.secret.is_some() && slot.pod.is_some() {
        return false;
    }
    let owner = state.processes[process].owner.clone();
    slot.secret = Some(owner);
    state.processes[process].books[worker].made_secret = true;
    true
}

/// With the permit that what was seen gives.
fn stop(state: &mut State, worker: usize, seen: &Object) -> bool {
    let untaken = seen.worker.is_deleting() && seen.worker.status.state == WorkerState::Pending;
    let permitted = seen.worker.status.state.is_condemned() || untaken;
    let Some(pod) = state.workers[worker].pod.filter(|_| permitted) else { return false };
    state.network.insert(Message::StopPod { worker, number: pod.number })
}

fn finish(state: &mut State, worker: usize, seen: &Object) -> bool {
    let slot = &mut state.workers[worker];
    let fresh = slot.object.as_ref().is_some_and(|object| object.version == seen.version);
    if slot.pod.is_some() {
        return false;
    }
    let swept = slot.secret.take().is_some();
    let goes = fresh && seen.worker.is_deleting() && seen.finalizer;
    if goes {
        let_go(state, worker);
    }
    swept || goes
}

/// Decides, and sends. False: a miss.
fn put(
    state: &mut State,
    process: usize,
    worker: usize,
    seen: &Object,
    transition: &Transition,
) -> bool {
    let me = state.processes[process].owner.clone();
    let book = &state.processes[process].books[worker];
    let facts = Facts { owner: standing(state, &seen.worker), room: Room::Free, now: state.now() };
    let fence = SnapshotFence::of(&seen.worker);
    let right = match transition {
        Transition::RetireFromSnapshot(..) | Transition::RetireOrphanFromSnapshot(..) => {
            Right::Snapshot { seen: &fence, by: &me }
        }
        Transition::AdoptNew
        | Transition::Adopt
        | Transition::ClaimIdle { .. }
        | Transition::ClaimHotIdle { .. }
        | Transition::TakeOver { .. } => Right::Instance(&me),
        _ => match &book.held {
            Some(lease) => Right::Lease(lease),
            None => return false,
        },
    };
    let Ok(mut status) = decide(&seen.worker, &right, transition, &facts) else { return false };
    let number = u64::try_from(process).unwrap_or(0) + 1;
    let id =
        WriteId::from_bits(number << 32 | u64::from(seen.version) << 8 | starts(state, process));
    status.writes = status.writes.with(id.clone());
    let put = Put { worker, base: seen.version, id, status };
    let book: &mut Book = &mut state.processes[process].books[worker];
    book.doubt = Some(put.clone());
    state.network.insert(Message::Put(Box::new(put)))
}

fn starts(state: &State, process: usize) -> u64 {
    u64::from(state.processes[process].starts)
}
