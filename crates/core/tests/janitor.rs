//! What the janitor finds, and what it spares.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use common::{at, tenant, worker};
use duckworker_core::plan::janitor::Limits;
use duckworker_core::plan::janitor::instances::{is_forgettable, is_overdue};
use duckworker_core::plan::janitor::strays::{Child, MadeFor, is_stranded};
use duckworker_core::plan::janitor::workers::{
    WorkerSeen, is_orphaned, is_parked_too_long, is_stuck, may_concern,
};
use duckworker_core::plan::worker::Holder;
use duckworker_core::worker::ClaimRef;
use duckworker_core::{OwnerStanding, Uid, Worker, WorkerState};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The defaults of the design.
const LIMITS: Limits = Limits {
    orphan_grace: seconds(30),
    stranded_grace: seconds(120),
    stuck_spawning: seconds(600),
    stuck_activating: seconds(300),
    stuck_margin: seconds(120),
    draining_limit: seconds(7200),
    instance_retention: seconds(3600),
};

fn orphaned(worker: &Worker, holder: Holder, ownerless_for: u64) -> bool {
    let since = worker.status.state_since.unwrap();
    let ownerless_for = seconds(ownerless_for);
    is_orphaned(&WorkerSeen { worker, holder, ownerless_for, since }, &LIMITS)
}

/// Whether a worker that came into its state at second 0 is stuck at this one.
fn stuck(worker: &Worker, holder: Holder, second: i64) -> bool {
    let seen = WorkerSeen { worker, holder, ownerless_for: Duration::ZERO, since: at(0) };
    is_stuck(&seen, at(second), &LIMITS)
}

const EXPIRED: Holder = Holder::Foreign(OwnerStanding::Expired);
const LIVE: Holder = Holder::Foreign(OwnerStanding::Live);

#[test]
fn an_orphan_waits_for_its_grace() {
    let hot = worker(WorkerState::Hot);
    assert!(!orphaned(&hot, EXPIRED, 29));
    assert!(orphaned(&hot, EXPIRED, 30));
    assert!(orphaned(&hot, Holder::Peer(OwnerStanding::Absent), 30), "an owner without a Lease");
}

#[test]
fn the_workers_of_the_living_and_the_leaving_are_no_orphans() {
    let hot = worker(WorkerState::Hot);
    for holder in [Holder::Me, Holder::Nobody, LIVE, Holder::Foreign(OwnerStanding::Draining)] {
        assert!(!orphaned(&hot, holder, 9999), "{holder:?}");
    }
}

#[test]
fn what_is_over_or_never_began_is_no_orphan() {
    for state in [WorkerState::Pending, WorkerState::Retired, WorkerState::Lost] {
        assert!(!orphaned(&worker(state), EXPIRED, 9999), "{state}");
    }
}

#[test]
fn what_may_be_adopted_is_no_orphan() {
    let mut bound = worker(WorkerState::Hot);
    bound.status.claim = Some(ClaimRef { name: "c".into(), uid: Uid::new("c-1").unwrap() });
    let mut dedicated = worker(WorkerState::Activating);
    dedicated.spec.dedicated_to = Some(tenant("acme"));
    let adoptable = [
        bound,
        dedicated,
        worker(WorkerState::Idle),
        worker(WorkerState::Spawning),
        worker(WorkerState::HotIdle),
        worker(WorkerState::Draining),
    ];
    for worker in adoptable {
        assert!(!orphaned(&worker, EXPIRED, 9999), "{}", worker.status.state);
    }
    for state in [WorkerState::Reserved, WorkerState::Activating, WorkerState::Hot] {
        assert!(orphaned(&worker(state), EXPIRED, 30), "{state}");
    }
}

#[test]
fn states_that_should_pass_have_a_limit() {
    for (state, limit) in [
        (WorkerState::Spawning, 600),
        // The worker's own 300 s and the margin are longer than the least of 300 s.
        (WorkerState::Reserved, 420),
        (WorkerState::Activating, 420),
        (WorkerState::Draining, 7200),
    ] {
        assert!(!stuck(&worker(state), LIVE, limit - 1), "{state}");
        assert!(stuck(&worker(state), LIVE, limit), "{state}");
    }
}

#[test]
fn states_that_may_last_have_none() {
    for state in [WorkerState::Idle, WorkerState::Hot, WorkerState::HotIdle, WorkerState::Retired] {
        assert!(!stuck(&worker(state), LIVE, 1_000_000), "{state}");
    }
}

#[test]
fn a_worker_with_a_long_time_out_is_given_it_and_a_margin() {
    let mut slow = worker(WorkerState::Spawning);
    slow.spec.startup_timeout = seconds(3600);
    assert!(!stuck(&slow, LIVE, 3600 + 119));
    assert!(stuck(&slow, LIVE, 3600 + 120));
    slow.spec.startup_timeout = seconds(1);
    assert!(!stuck(&slow, LIVE, 599), "the least time is kept as well");
}

#[test]
fn the_workers_of_the_dead_are_left_to_orphanage_and_adoption() {
    let reserved = worker(WorkerState::Reserved);
    assert!(!stuck(&reserved, EXPIRED, 9999));
    assert!(stuck(&reserved, Holder::Foreign(OwnerStanding::Draining), 9999));
    assert!(stuck(&reserved, Holder::Me, 9999));
}

#[test]
fn a_parked_worker_has_the_time_of_its_pool() {
    let mut parked = worker(WorkerState::HotIdle);
    parked.status.idle_since = Some(at(0));
    // A refresh writes the status again; it leaves idleSince as it is.
    parked.status.state_since = Some(at(50));
    let ttl = Some(seconds(60));
    assert!(!is_parked_too_long(&parked, ttl, at(59)));
    assert!(is_parked_too_long(&parked, ttl, at(60)));
    assert!(!is_parked_too_long(&parked, None, at(1_000_000)), "no pool, no limit");
    parked.status.idle_since = None;
    assert!(
        is_parked_too_long(&parked, ttl, at(110)),
        "without idleSince the state's stamp counts"
    );
    assert!(!is_parked_too_long(&worker(WorkerState::Idle), ttl, at(9999)));
}

#[test]
fn the_glance_misses_nothing() {
    for state in WorkerState::ALL {
        for standing in common::STANDINGS {
            let holder = Holder::Foreign(standing);
            let worker = worker(state);
            let found = orphaned(&worker, holder, 1_000_000) || stuck(&worker, holder, 1_000_000);
            assert!(!found || may_concern(state, standing), "{state} {standing:?}");
        }
    }
}

fn child(made_for: MadeFor) -> Child {
    Child { made_for, created: at(0), leaving: false }
}

#[test]
fn what_a_finished_or_missing_worker_left_is_swept() {
    let useless = [
        MadeFor::Missing,
        MadeFor::Worker(WorkerState::Retired),
        MadeFor::Worker(WorkerState::Lost),
    ];
    for made_for in useless {
        assert!(!is_stranded(&child(made_for), at(119), &LIMITS), "young: {made_for:?}");
        assert!(is_stranded(&child(made_for), at(120), &LIMITS), "{made_for:?}");
        let leaving = Child { leaving: true, ..child(made_for) };
        assert!(!is_stranded(&leaving, at(9999), &LIMITS), "it goes already: {made_for:?}");
    }
}

#[test]
fn what_somebody_uses_or_nobody_knows_is_spared() {
    for state in WorkerState::ALL.into_iter().filter(|state| !state.is_terminal()) {
        assert!(!is_stranded(&child(MadeFor::Worker(state)), at(9999), &LIMITS), "{state}");
    }
    assert!(!is_stranded(&child(MadeFor::Unknown), at(9999), &LIMITS));
}

#[test]
fn a_stamp_in_the_future_makes_nothing_old() {
    let unborn = Child { created: at(500), ..child(MadeFor::Missing) };
    assert!(!is_stranded(&unborn, at(0), &LIMITS));
}

#[test]
fn no_instance_drains_for_ever() {
    let limit = seconds(7200);
    assert!(!is_overdue(OwnerStanding::Draining, seconds(7199), limit));
    assert!(is_overdue(OwnerStanding::Draining, limit, limit));
    for standing in [OwnerStanding::Live, OwnerStanding::Expired, OwnerStanding::Absent] {
        assert!(!is_overdue(standing, seconds(99_999), limit), "{standing:?}");
    }
}

#[test]
fn a_lease_is_forgotten_when_its_instance_is_long_dead_and_owns_nothing() {
    let forgettable =
        |standing, dead_for, owned| is_forgettable(standing, seconds(dead_for), owned, &LIMITS);
    assert!(forgettable(OwnerStanding::Expired, 3600, 0));
    assert!(!forgettable(OwnerStanding::Expired, 3599, 0));
    assert!(!forgettable(OwnerStanding::Expired, 9999, 1));
    assert!(!forgettable(OwnerStanding::Live, 9999, 0));
    assert!(!forgettable(OwnerStanding::Draining, 9999, 0));
}
