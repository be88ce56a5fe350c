//! The ledger: whatever claimers, keepers and the network do, in whatever order, a tenant never holds
//! more workers than its cap.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::{at, owner, tenant};
use duckworker_core::plan::tenant::{NOTICE, Remains, Step, View, WorkerSeen, next, status};
use duckworker_core::tenant::{
    Allowance, DeclaredTenant, Entry, Ledger, NotEntered, TenantKey, TenantStatus, TenantTerms,
};
use duckworker_core::{Uid, Version, WorkerState};
use proptest::prelude::*;

fn declared(cap: Option<usize>) -> DeclaredTenant {
    DeclaredTenant {
        key: TenantKey {
            namespace: "data".into(),
            name: tenant("acme"),
            uid: Uid::new("tenant-1").unwrap(),
        },
        generation: 1,
        deletion: None,
        terms: TenantTerms { max_workers: cap, ..TenantTerms::default() },
        status: TenantStatus::default(),
    }
}

fn entry(worker: usize, base: u64) -> Entry {
    Entry {
        worker: format!("w-{worker}"),
        base: Version::new(base.to_string()),
        by: owner("a"),
        at: at(0),
    }
}

fn uid(worker: usize) -> Uid {
    Uid::new(format!("w-{worker}")).unwrap()
}

fn look<'a>(
    tenant: &'a DeclaredTenant,
    workers: &'a BTreeMap<Uid, WorkerSeen>,
    remains: &'a BTreeMap<Uid, Remains>,
) -> View<'a> {
    static NOBODY: BTreeSet<duckworker_core::Owner> = BTreeSet::new();
    let known_for = Duration::from_mins(1);
    View { tenant, workers, remains, dead: &NOBODY, known_for, now: at(1) }
}

fn seen(worker: usize, state: WorkerState, own: bool, version: u64) -> WorkerSeen {
    WorkerSeen {
        name: format!("w-{worker}"),
        version: Version::new(version.to_string()),
        state,
        tenant: own.then(|| tenant("acme")),
        owner: Some(owner("a")),
    }
}

#[test]
fn a_worker_is_entered_while_there_is_room_and_one_that_stands_there_always() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.enter(uid(1), entry(1, 5), 1), Ok(()));
    assert_eq!(ledger.enter(uid(2), entry(2, 5), 1), Err(NotEntered::Full));
    // The cap is met, and this one counts already.
    assert_eq!(ledger.enter(uid(1), entry(1, 5), 1), Ok(()));
    assert_eq!(ledger.enter(uid(1), entry(1, 6), 1), Ok(()));
    assert_eq!(ledger.enter(uid(1), entry(1, 5), 1), Err(NotEntered::Stale));
    assert_eq!(ledger.get(&uid(1)), Some(&entry(1, 6)));
    assert_eq!((ledger.get(&uid(2)), ledger.used()), (None, 1));
    assert_eq!(declared(None).key.to_string(), "data/acme");
}

#[test]
fn what_a_tenant_may_still_have_is_its_cap_without_what_it_holds() {
    let mut tenant = declared(Some(2));
    let may_have = |tenant: &DeclaredTenant| (tenant.allowance(), tenant.cap());
    assert_eq!(may_have(&tenant), (Allowance::More(2), Some(2)));
    tenant.status.ledger.record(uid(1), entry(1, 5));
    assert_eq!(tenant.allowance(), Allowance::More(1));
    tenant.status.ledger.record(uid(2), entry(2, 5));
    assert_eq!(tenant.allowance(), Allowance::More(0), "what is parked for it, it may have");
    tenant.status.ledger.record(uid(3), entry(3, 5));
    assert_eq!(tenant.allowance(), Allowance::Nothing);
    assert_eq!(may_have(&declared(None)), (Allowance::More(usize::MAX), None));
    let deleted = DeclaredTenant { deletion: Some(at(0)), ..declared(None) };
    assert_eq!(may_have(&deleted), (Allowance::Nothing, Some(0)));
}

#[test]
fn a_cap_is_said_to_hold_only_when_no_claimer_can_be_unaware_of_it() {
    let tenant = declared(Some(1));
    let (workers, remains) = (BTreeMap::new(), BTreeMap::new());
    let mut view = look(&tenant, &workers, &remains);
    view.known_for = Duration::from_secs(1);
    let Step::Write(first) = next(&view) else { unreachable!("the condition is said at once") };
    assert_eq!(first.observed_generation, None);
    let told = DeclaredTenant { status: first, ..tenant.clone() };
    let view = View { tenant: &told, ..view };
    assert_eq!(next(&view), Step::Wait(NOTICE.saturating_sub(Duration::from_secs(1))));
    let Step::Write(status) = next(&View { known_for: NOTICE, ..view }) else { unreachable!() };
    assert_eq!(status.observed_generation, Some(1));
}

#[test]
fn what_is_held_is_recorded_and_says_so_when_it_is_too_much() {
    let tenant = declared(Some(1));
    let workers: BTreeMap<_, _> = (0..2)
        .map(|n| (uid(n), seen(n, WorkerState::Hot, true, 5)))
        .chain([(uid(7), seen(7, WorkerState::Hot, false, 5))])
        .collect();
    let Step::Write(status) = next(&look(&tenant, &workers, &BTreeMap::new())) else {
        unreachable!()
    };
    assert_eq!(status.ledger.used(), 2);
    assert_eq!(status.conditions[0].reason, "OverCap");
    let over = DeclaredTenant { status, ..tenant };
    assert_eq!(over.allowance(), Allowance::Nothing);
    assert_eq!(next(&look(&over, &workers, &BTreeMap::new())), Step::Rest);
}

/// Claimed without a cap, these are more than one object bears. None gets in before they are few.
#[test]
fn of_more_workers_than_a_ledger_bears_the_next_one_takes_each_place_that_comes_free() {
    const MOST: usize = 2000;
    let mut tenant = declared(Some(MOST));
    let mut workers: BTreeMap<_, _> =
        (0..MOST + 2).map(|n| (uid(n), seen(n, WorkerState::Hot, true, 5))).collect();
    let mut remains = BTreeMap::new();
    for gone in 0..3 {
        let Step::Write(status) = next(&look(&tenant, &workers, &remains)) else { unreachable!() };
        assert_eq!(status.ledger.used(), MOST.min(workers.len()), "{gone} are gone");
        tenant.status = status;
        assert_eq!(next(&look(&tenant, &workers, &remains)), Step::Rest);
        let mut ledger = tenant.status.ledger.clone();
        let another = ledger.enter(uid(MOST + 9), entry(MOST + 9, 5), MOST);
        assert_eq!(another, Err(NotEntered::Full), "{gone} are gone");
        let (over, _) = workers.pop_first().unwrap();
        remains.insert(over, Remains::Nothing);
    }
    let Step::Write(status) = next(&look(&tenant, &workers, &remains)) else { unreachable!() };
    assert_eq!(status.ledger.used(), MOST - 1);
}

#[test]
fn an_entry_goes_when_its_worker_is_anothers_or_nothing_is_left_of_it() {
    let mut tenant = declared(Some(9));
    let entries = (0..4).map(|n| (uid(n), entry(n, 5)));
    tenant.status = status(&tenant, Ledger::of(entries), Some(1), at(0));
    let mut workers = BTreeMap::from([
        (uid(0), seen(0, WorkerState::Idle, false, 5)),
        (uid(1), seen(1, WorkerState::Reserved, false, 6)),
        (uid(2), seen(2, WorkerState::Retired, true, 6)),
    ]);
    let mut remains = BTreeMap::new();
    let unknown = vec![(uid(2), "w-2".to_owned()), (uid(3), "w-3".to_owned())];
    assert_eq!(next(&look(&tenant, &workers, &remains)), Step::LookFor(unknown));
    remains.extend([(uid(2), Remains::Something), (uid(3), Remains::Nothing)]);
    let Step::Write(status) = next(&look(&tenant, &workers, &remains)) else { unreachable!() };
    let left: Vec<_> = status.ledger.entries().map(|(uid, _)| uid.to_string()).collect();
    assert_eq!(left, ["w-0", "w-2"], "one is open, of the other a pod is left");
    tenant.status = status;
    // Its author is silent for too long: the worker is moved on, and then the entry is void.
    let mut view = look(&tenant, &workers, &remains);
    assert!(matches!(next(&view), Step::Wait(_)));
    view.now = at(60);
    assert_eq!(next(&view), Step::Move(vec![(uid(0), "w-0".to_owned())]));
    workers.get_mut(&uid(0)).unwrap().version = Version::new("6");
    let Step::Write(status) = next(&look(&tenant, &workers, &remains)) else { unreachable!() };
    assert!(status.ledger.get(&uid(0)).is_none());
}

/// What may happen, in any order.
#[derive(Debug, Clone)]
enum Event {
    /// A claimer reads a worker and enters it. Its write is on its way from then on.
    Enter(usize),
    /// The same by a cache that lags.
    EnterStale(usize),
    /// A write on its way arrives; it may arrive again.
    Arrive(usize),
    /// Somebody edits a worker.
    Touch(usize),
    /// Another tenant takes a worker.
    Taken(usize),
    /// A worker of the tenant ends.
    End(usize),
    /// Its pod goes.
    PodGone(usize),
    /// The keeper's cache catches up.
    Watch,
    /// The keeper looks, by its cache; it may be interrupted before its write.
    Look,
    /// What the keeper decided is written, if nobody wrote since.
    Write,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..4_usize).prop_map(Event::Enter),
        3 => (0..4_usize).prop_map(Event::EnterStale),
        4 => (0..8_usize).prop_map(Event::Arrive),
        1 => (0..4_usize).prop_map(Event::Touch),
        1 => (0..4_usize).prop_map(Event::Taken),
        2 => (0..4_usize).prop_map(Event::End),
        2 => (0..4_usize).prop_map(Event::PodGone),
        2 => Just(Event::Watch),
        4 => Just(Event::Look),
        4 => Just(Event::Write),
    ]
}

#[derive(Debug, Clone)]
struct Worker {
    version: u64,
    state: WorkerState,
    own: bool,
    pod: bool,
}

struct World {
    tenant: DeclaredTenant,
    /// Of the tenant's object.
    version: u64,
    workers: Vec<Worker>,
    cache: Vec<Worker>,
    on_their_way: Vec<(usize, u64)>,
    decided: Option<(TenantStatus, u64)>,
}

const CAP: usize = 2;

impl World {
    fn new() -> Self {
        let idle = Worker { version: 1, state: WorkerState::Idle, own: false, pod: true };
        let workers = vec![idle; 4];
        Self {
            tenant: declared(Some(CAP)),
            version: 1,
            cache: workers.clone(),
            workers,
            on_their_way: Vec::new(),
            decided: None,
        }
    }

    fn play(&mut self, event: &Event) {
        match *event {
            Event::Enter(n) => self.enter(n, self.workers[n].version, self.workers[n].state),
            Event::EnterStale(n) => self.enter(n, self.cache[n].version, self.cache[n].state),
            Event::Arrive(n) => {
                let Some(&(worker, base)) = self.on_their_way.get(n) else { return };
                let worker = &mut self.workers[worker];
                if worker.version == base && worker.state == WorkerState::Idle {
                    (worker.version, worker.state, worker.own) =
                        (base + 1, WorkerState::Reserved, true);
                }
            }
            Event::Touch(n) => self.workers[n].version += 1,
            Event::Taken(n) if self.workers[n].state == WorkerState::Idle => {
                self.workers[n].version += 1;
                self.workers[n].state = WorkerState::Reserved;
            }
            Event::End(n) if self.workers[n].own => {
                self.workers[n].version += 1;
                self.workers[n].state = WorkerState::Retired;
            }
            Event::PodGone(n) if self.workers[n].state == WorkerState::Retired => {
                self.workers[n].pod = false;
            }
            Event::Watch => self.cache.clone_from(&self.workers),
            Event::Look => self.look(),
            Event::Write => {
                if let Some((status, version)) = self.decided.take()
                    && version == self.version
                {
                    self.tenant.status = status;
                    self.version += 1;
                }
            }
            _ => {}
        }
    }

    fn enter(&mut self, n: usize, base: u64, state: WorkerState) {
        if state != WorkerState::Idle {
            return;
        }
        let mut ledger = self.tenant.status.ledger.clone();
        if ledger.enter(uid(n), entry(n, base), CAP).is_ok() {
            let generation = self.tenant.status.observed_generation;
            self.tenant.status = status(&self.tenant, ledger, generation, at(1));
            self.version += 1;
            self.on_their_way.push((n, base));
        }
    }

    fn look(&mut self) {
        let mut remains = BTreeMap::new();
        for _ in 0..4 {
            let workers = self
                .cache
                .iter()
                .enumerate()
                .map(|(n, worker)| (uid(n), seen(n, worker.state, worker.own, worker.version)));
            let workers: BTreeMap<_, _> = workers.collect();
            let mut view = look(&self.tenant, &workers, &remains);
            view.now = at(100);
            match next(&view) {
                Step::Write(status) => {
                    self.decided = Some((status, self.version));
                    return;
                }
                Step::LookFor(unknown) => {
                    for (uid, name) in unknown {
                        let number: usize = name.trim_start_matches("w-").parse().unwrap();
                        let worker = &self.workers[number];
                        let left = worker.pod || !worker.state.is_terminal();
                        let what = if left { Remains::Something } else { Remains::Nothing };
                        remains.insert(uid, what);
                    }
                }
                Step::Move(workers) => {
                    for (_, name) in workers {
                        let number: usize = name.trim_start_matches("w-").parse().unwrap();
                        self.workers[number].version += 1;
                    }
                    return;
                }
                Step::Wait(_) | Step::Rest => return,
            }
        }
    }

    fn held(&self) -> usize {
        let holds = |w: &&Worker| w.own && (w.state != WorkerState::Retired || w.pod);
        self.workers.iter().filter(holds).count()
    }
}

/// What chance seldom brings together: a claimer whose cache lags wants the worker that another has
/// just entered with a newer version, and the keeper looks between that and the other's write.
#[test]
fn an_entry_never_goes_back_to_an_older_version() {
    let mut world = World::new();
    for event in [
        Event::Touch(0),
        Event::Enter(0),
        Event::EnterStale(0),
        Event::Watch,
        Event::Look,
        Event::Write,
        Event::Enter(1),
        Event::Enter(2),
    ] {
        world.play(&event);
    }
    for write in 0..world.on_their_way.len() {
        world.play(&Event::Arrive(write));
    }
    assert!(world.held() <= CAP, "{} held", world.held());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn a_tenant_never_holds_more_than_its_cap(events in prop::collection::vec(event(), 0..60)) {
        let mut world = World::new();
        for event in &events {
            world.play(event);
            prop_assert!(world.held() <= CAP, "{} held after {event:?}", world.held());
        }
    }
}
