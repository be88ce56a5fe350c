//! Workers in any state, for tests.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(missing_docs, clippy::unwrap_used, reason = "support of tests")]

use std::time::Duration;

use duckworker_core::names::Uid;
use duckworker_core::plan::health::HealthTerms;
use duckworker_core::transition::Note;
use duckworker_core::worker::{
    ConnectionTerms, Ownership, PodRef, Protocol, RecordedName, TransitionRecord, WorkerTerms,
};
use duckworker_core::{
    Epoch, Facts, Image, Owner, OwnerStanding, Reason, Room, Tenant, Terminal, Transition,
    TransitionName, Worker, WorkerKey, WorkerState, WorkerStatus,
};
use jiff::Timestamp;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

pub fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

pub fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

/// A well-formed worker in this state, owned by `me` at epoch 7.
pub fn worker(state: WorkerState) -> Worker {
    let mut status = WorkerStatus::pending();
    status.state = state;
    status.state_since = Some(at(0));
    if state != WorkerState::Pending {
        let epoch = Epoch::new(7).unwrap();
        status.observed_generation = Some(1);
        status.ownership = Some(Ownership { owner: owner("me"), epoch });
        status.pod = Some(PodRef { name: "w".into(), uid: Uid::new("pod-1").unwrap(), ip: None });
        status.transitions.push(TransitionRecord {
            name: RecordedName::Known(TransitionName::AdoptNew),
            reason: None,
            by: "me".into(),
            epoch,
            at: at(0),
        });
    }
    if state.needs_tenant() {
        status.tenant = Some(tenant("acme"));
    }
    Worker {
        key: WorkerKey {
            namespace: "data".into(),
            name: "w".into(),
            uid: Uid::new("uid-1").unwrap(),
        },
        generation: 1,
        deletion: None,
        pool: None,
        spec: WorkerTerms {
            image: Image::new("duckdb:1").unwrap(),
            dedicated_to: None,
            connection: ConnectionTerms { protocol: Protocol::None, port: 8816 },
            health: HealthTerms::default(),
            startup_timeout: Duration::from_mins(5),
            activation_timeout: Duration::from_mins(5),
            drain_timeout: Duration::from_mins(15),
            ttl_after_finished: None,
        },
        status,
    }
}

/// One request of each transition, with arguments that fit [`worker`].
pub fn every_transition() -> Vec<Transition> {
    let (reason, end) = (Reason::Requested, Terminal::Retired);
    vec![
        Transition::AdoptNew,
        Transition::Ready(Note::default()),
        Transition::ClaimIdle { tenant: tenant("acme"), claim: None },
        Transition::ClaimHotIdle { tenant: tenant("acme"), version: None, claim: None },
        Transition::Activate,
        Transition::Activated { credentials_expire_at: None },
        Transition::Release,
        Transition::Park,
        Transition::Abandon(reason),
        Transition::TakeOver { tenant: tenant("acme"), expected: Epoch::new(7).unwrap() },
        Transition::Adopt,
        Transition::RefreshLease,
        Transition::Note(Note::default()),
        Transition::Drain(reason),
        Transition::RetireDrained,
        Transition::MarkLost(reason),
        Transition::RetireFromSnapshot(end, reason),
        Transition::RetireFromSnapshot(Terminal::Lost, reason),
        Transition::RetireOrphanFromSnapshot(end, reason),
        Transition::RetireOrphanFromSnapshot(Terminal::Lost, reason),
        Transition::RetireIdleVariantFromSnapshot(reason),
    ]
}

pub const STANDINGS: [OwnerStanding; 4] =
    [OwnerStanding::Live, OwnerStanding::Draining, OwnerStanding::Expired, OwnerStanding::Absent];

pub fn facts(standing: OwnerStanding, room: Room) -> Facts {
    Facts { owner: standing, room, now: at(10) }
}
