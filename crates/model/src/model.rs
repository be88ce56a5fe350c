//! All that can happen, and what must hold whatever happens.

use duckworker_core::worker::RecordedName;
use duckworker_core::{Owner, TransitionName, WorkerState};
use stateright::{Checker, Expectation, Model, Property};

use crate::process;
use crate::server::{deliver, is_ending, let_go};
use crate::state::{Message, Process, State};

/// How much may happen. Within it everything that can happen does.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many workers there are.
    pub workers: usize,
    /// How many processes die.
    pub crashes: u8,
    /// How many Leases are marked expired, whether their owners live or not.
    pub expiries: u8,
    /// How many messages arrive twice.
    pub doubles: u8,
    /// How many pods die by themselves.
    pub deaths: u8,
    /// How many claims, releases and take-overs there are.
    pub claims: u8,
    /// Whether workers are deleted.
    pub deletions: bool,
    /// Whether an hour passes at any time.
    pub late: bool,
}

/// Two controllers, each with a janitor, and their workers.
#[derive(Debug, Clone, Copy)]
pub struct Fleet {
    /// The bounds.
    pub bounds: Bounds,
}

/// One thing that can happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A process looks at a worker.
    Look(usize, usize),
    /// A process takes the next step of the worker's plan.
    Plan(usize, usize),
    /// A janitor judges a worker.
    Sweep(usize, usize),
    /// A program claims, serves, gives back.
    Serve(usize, usize),
    /// A message arrives, and the answer of it is lost.
    Arrive(Message),
    /// A write arrives, and so does its answer.
    Answer(Message),
    /// A message arrives, and is still on its way.
    Double(Message),
    /// A process dies and starts again.
    Crash(usize),
    /// An instance's Lease is marked.
    Expire(Owner),
    /// Somebody deletes a worker.
    Delete(usize),
    /// The pod becomes ready.
    Start(usize),
    /// The pod dies.
    Die(usize),
    /// The pod that was told to stop is gone.
    Stop(usize),
    /// An hour passes.
    Wait,
}

impl Model for Fleet {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        life(self.bounds.workers)
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (process, worker) in pairs(state) {
            actions.extend([
                Action::Look(process, worker),
                Action::Plan(process, worker),
                Action::Sweep(process, worker),
            ]);
            if state.spent.claims < self.bounds.claims {
                actions.push(Action::Serve(process, worker));
            }
        }
        actions.extend(state.network.iter().cloned().map(Action::Arrive));
        let puts = state.network.iter().filter(|message| matches!(message, Message::Put(_)));
        actions.extend(puts.cloned().map(Action::Answer));
        if state.spent.doubles < self.bounds.doubles {
            actions.extend(state.network.iter().cloned().map(Action::Double));
        }
        self.world(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let done = apply(&mut state, &action);
        (done && state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![Property::always("the rules hold", |_: &Self, state: &State| {
            state.broken.is_empty()
        })];
        all.extend(reachable());
        if self.bounds.deletions {
            all.push(Property::sometimes("a worker goes", |_: &Self, state: &State| {
                state.workers.iter().any(|slot| slot.object.is_none())
            }));
        }
        all
    }
}

impl Fleet {
    /// What happens without any controller's doing.
    fn world(&self, state: &State, actions: &mut Vec<Action>) {
        let (bounds, spent) = (self.bounds, state.spent);
        if spent.crashes < bounds.crashes {
            actions.extend((0..state.processes.len()).map(Action::Crash));
        }
        if spent.expiries < bounds.expiries {
            let unmarked = state.instances.iter().filter(|(_, expired)| !**expired);
            actions.extend(unmarked.map(|(owner, _)| Action::Expire(owner.clone())));
        }
        for (worker, slot) in state.workers.iter().enumerate() {
            let object = slot.object.as_ref();
            if bounds.deletions && object.is_some_and(|object| !object.worker.is_deleting()) {
                actions.push(Action::Delete(worker));
            }
            let Some(pod) = slot.pod else { continue };
            if pod.stopped {
                actions.push(Action::Stop(worker));
            } else if !pod.ready && !pod.ended {
                actions.push(Action::Start(worker));
            }
            if !pod.ended && spent.deaths < bounds.deaths {
                actions.push(Action::Die(worker));
            }
        }
        if bounds.late && state.clock == 0 {
            actions.push(Action::Wait);
        }
    }
}

fn pairs(state: &State) -> Vec<(usize, usize)> {
    let workers = 0..state.workers.len();
    (0..state.processes.len()).flat_map(|p| workers.clone().map(move |w| (p, w))).collect()
}

fn apply(state: &mut State, action: &Action) -> bool {
    match action {
        Action::Look(p, w) => process::look(state, *p, *w),
        Action::Plan(p, w) => return process::plan(state, *p, *w),
        Action::Sweep(p, w) => return process::sweep(state, *p, *w),
        Action::Serve(p, w) => {
            state.spent.claims += 1;
            return process::serve(state, *p, *w);
        }
        Action::Arrive(message) => {
            state.network.remove(message);
            deliver(state, message);
        }
        Action::Answer(message) => {
            state.network.remove(message);
            deliver(state, message);
            answered(state, message);
        }
        Action::Double(message) => {
            state.spent.doubles += 1;
            deliver(state, message);
        }
        Action::Crash(p) => crash(state, *p),
        Action::Expire(owner) => {
            state.spent.expiries += 1;
            state.instances.insert(owner.clone(), true);
        }
        Action::Delete(w) => delete(state, *w),
        Action::Wait => state.clock += 1,
        Action::Start(w) => change_pod(state, *w, |pod| pod.ready = true),
        Action::Die(w) => {
            state.spent.deaths += 1;
            change_pod(state, *w, |pod| pod.ended = true);
        }
        Action::Stop(w) => state.workers[*w].pod = None,
    }
    true
}

/// Whoever waits for the answer of this write looks.
fn answered(state: &mut State, message: &Message) {
    let Message::Put(put) = message else { return };
    let waits = |process: &Process| {
        process.books[put.worker].doubt.as_ref().is_some_and(|doubt| doubt.id == put.id)
    };
    if let Some(process) = state.processes.iter().position(waits) {
        process::look(state, process, put.worker);
    }
}

/// Every moment of a life in which nothing goes wrong: from all of them the checker goes on.
fn life(workers: usize) -> Vec<State> {
    let mut state = State::new(workers, 2);
    let mut moments = vec![state.clone()];
    for deleted in [false, true] {
        for worker in 0..workers {
            if deleted {
                delete(&mut state, worker);
            }
            for round in 0..LIFE {
                let steps = step_well(&mut state, worker, round > LIFE / 2 && !deleted);
                moments.extend(steps);
            }
        }
    }
    moments.dedup();
    moments
}

/// More rounds than a life has steps.
const LIFE: usize = 16;

/// One round: look, take a step, let the message arrive, let the pod follow.
fn step_well(state: &mut State, worker: usize, serve: bool) -> Vec<State> {
    let mut moments = Vec::new();
    process::look(state, 0, worker);
    moments.push(state.clone());
    let released = |state: &State| {
        let object = state.workers[worker].object.as_ref();
        object.is_some_and(|o| o.worker.status.state == WorkerState::HotIdle)
    };
    if !process::plan(state, 0, worker) && serve && !released(state) {
        let _ = process::serve(state, 0, worker);
    }
    moments.push(state.clone());
    while let Some(message) = state.network.pop_first() {
        deliver(state, &message);
        moments.push(state.clone());
    }
    match state.workers[worker].pod {
        Some(pod) if pod.stopped => state.workers[worker].pod = None,
        Some(_) => change_pod(state, worker, |pod| pod.ready = true),
        None => {}
    }
    moments
}

fn change_pod(state: &mut State, worker: usize, change: impl FnOnce(&mut crate::state::Pod)) {
    if let Some(pod) = state.workers[worker].pod.as_mut() {
        change(pod);
    }
}

/// What was sent is on its way yet; the next incarnation knows nothing of it.
fn crash(state: &mut State, process: usize) {
    state.spent.crashes += 1;
    let starts = state.processes[process].starts + 1;
    let fresh = Process::new(process, starts, state.workers.len());
    state.instances.insert(fresh.owner.clone(), false);
    state.processes[process] = fresh;
}

fn delete(state: &mut State, worker: usize) {
    let now = state.now();
    let Some(object) = &mut state.workers[worker].object else { return };
    object.worker.deletion = Some(now);
    object.version += 1;
    if !object.finalizer {
        let_go(state, worker);
    }
}

/// Every state of a worker is reached, or the model does not say much.
fn reachable() -> Vec<Property<Fleet>> {
    fn any(state: &State, wanted: WorkerState) -> bool {
        state.workers.iter().flat_map(|slot| &slot.object).any(|o| o.worker.status.state == wanted)
    }
    vec![
        Property::sometimes("Pending", |_, state: &State| any(state, WorkerState::Pending)),
        Property::sometimes("Spawning", |_, state: &State| any(state, WorkerState::Spawning)),
        Property::sometimes("Idle", |_, state: &State| any(state, WorkerState::Idle)),
        Property::sometimes("Reserved", |_, state: &State| any(state, WorkerState::Reserved)),
        Property::sometimes("Activating", |_, state: &State| any(state, WorkerState::Activating)),
        Property::sometimes("Hot", |_, state: &State| any(state, WorkerState::Hot)),
        Property::sometimes("HotIdle", |_, state: &State| any(state, WorkerState::HotIdle)),
        Property::sometimes("Draining", |_, state: &State| any(state, WorkerState::Draining)),
        Property::sometimes("Retired", |_, state: &State| any(state, WorkerState::Retired)),
        Property::sometimes("Lost", |_, state: &State| any(state, WorkerState::Lost)),
        Property::sometimes("an adoption", |_: &Fleet, state: &State| {
            let mut records = state
                .workers
                .iter()
                .flat_map(|slot| &slot.object)
                .flat_map(|object| &object.worker.status.transitions);
            records.any(|record| record.name == RecordedName::Known(TransitionName::Adopt))
        }),
        Property::sometimes("a pod that comes too late", |_: &Fleet, state: &State| {
            state.workers.iter().any(|slot| {
                slot.pod.is_some_and(|pod| pod.late) && slot.object.as_ref().is_none_or(is_ending)
            })
        }),
    ]
}

/// What should be reached sometimes, and never was.
pub fn not_reached(checker: &impl Checker<Fleet>) -> Vec<&'static str> {
    let all = checker.model().properties();
    let sometimes = all.iter().filter(|one| matches!(one.expectation, Expectation::Sometimes));
    sometimes.map(|one| one.name).filter(|name| checker.discovery(name).is_none()).collect()
}
