//! Pools and their workers, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use duckworker_core::conditions::Condition;
use duckworker_core::plan::observed::Trouble;
use duckworker_core::plan::pool::budget::{BudgetStanding, Covers};
use duckworker_core::plan::pool::demand::Misses;
use duckworker_core::plan::pool::{Step, View, next};
use duckworker_core::pool::{
    DemandTerms, Disruption, HotIdleTerms, Member, Ordinal, Pool, PoolKey, PoolStatus, PoolTerms,
    Reuse, Rollout, Undeclared,
};
use duckworker_core::tenant::TenantTerms;
use duckworker_core::{Epoch, Fingerprint, Image, Reason, Tenant, Uid, WorkerState as S};

use crate::common::at;

/// A budget that is as a pool wants it that lets nobody be evicted.
pub const GUARDED: BudgetStanding<'static> = BudgetStanding::Keeps(Covers::Everyone);

pub fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

pub fn template(text: &str) -> Fingerprint {
    Fingerprint::of(text.as_bytes())
}

/// A pool that wants so many idle workers and has none.
pub fn pool(replicas: usize, max_workers: usize) -> Pool {
    Pool {
        key: PoolKey { namespace: "data".into(), name: "p".into(), uid: uid("pool-1") },
        generation: 1,
        deletion: None,
        terms: PoolTerms {
            replicas,
            max_workers,
            max_unavailable: 1,
            max_surge: 0,
            rollout: Rollout::Running,
            progress_deadline: Duration::from_mins(10),
            max_starting: 50,
            first_pause: Duration::from_secs(10),
            longest_pause: Duration::from_mins(2),
            template: template("one"),
            image: Image::new("duckdb:1").unwrap(),
            hot_idle: HotIdleTerms {
                ttl: Duration::from_mins(1),
                min_per_tenant: 0,
                max_per_tenant: None,
            },
            reuse: Reuse::SameTenant,
            undeclared: Undeclared::Allow,
            disruption: Disruption::Protect,
            demand: DemandTerms { window: Duration::from_secs(100), max_extra: 0 },
        },
        status: PoolStatus::default(),
    }
}

/// A worker of the pool's present template.
pub fn member(pool: &Pool, number: i64, state: S) -> Member {
    let ordinal = Ordinal::new(number).unwrap();
    Member {
        uid: uid(&format!("w-{number}")),
        name: pool.key.worker_name(ordinal),
        state,
        deleting: false,
        template: Some(pool.terms.template.clone()),
        image: pool.terms.image.clone(),
        tenant: None,
        claim: None,
        epoch: Epoch::FIRST,
        was_parked: false,
        endpoint: None,
        server_name: None,
        created: at(number),
        since: at(number),
        idle_since: (state == S::Idle).then(|| at(number)),
        trouble: None,
    }
}

/// A look at a pool of which nothing else is known. A test changes what it is about.
pub fn view<'a>(pool: &'a Pool, members: &'a [Member], second: i64) -> View<'a> {
    static NOBODY: BTreeSet<Uid> = BTreeSet::new();
    static NO_TENANT: BTreeSet<Tenant> = BTreeSet::new();
    static NO_PINS: BTreeMap<Image, usize> = BTreeMap::new();
    static UNDECLARED: BTreeMap<Tenant, TenantTerms> = BTreeMap::new();
    static NO_VERSIONS: BTreeMap<Image, Fingerprint> = BTreeMap::new();
    static NO_MISSES: LazyLock<Misses> = LazyLock::new(Misses::default);
    View {
        pool,
        members,
        gone: &NOBODY,
        demand: 0,
        misses: &NO_MISSES,
        pinned: &NO_PINS,
        pins: &NO_VERSIONS,
        awaited: &NO_TENANT,
        tenants: &UNDECLARED,
        budget: GUARDED,
        refusal: None,
        now: at(second),
    }
}

/// A pool whose seats hold workers in these states.
pub fn filled(replicas: usize, max_workers: usize, states: &[S]) -> (Pool, Vec<Member>) {
    let mut pool = pool(replicas, max_workers);
    pool.status.seats.reserve(states.len());
    let members: Vec<Member> =
        (0..).zip(states).map(|(number, state)| member(&pool, number, *state)).collect();
    for (seat, member) in pool.status.seats.taken.values_mut().zip(&members) {
        *seat = Some(member.uid.clone());
    }
    (pool, members)
}

/// The same worker, after a failed start.
pub fn failed(mut member: Member, reason: Reason, created: i64, ended: i64) -> Member {
    member.state = S::Retired;
    member.created = at(created);
    member.since = at(ended);
    member.trouble = Some(Trouble::new(reason, "it did not start"));
    member
}

/// What its leader does next.
pub fn step(pool: &Pool, members: &[Member], second: i64) -> Step {
    step_with(pool, members, second, 0)
}

pub fn step_with(pool: &Pool, members: &[Member], second: i64, demand: usize) -> Step {
    next(&View { demand, ..view(pool, members, second) })
}

/// The pool after everything that it writes while nothing else happens, and the step that follows.
pub fn settle(pool: &mut Pool, members: &[Member], second: i64) -> Step {
    loop {
        match step(pool, members, second) {
            Step::Write(status, _) => pool.status = status,
            step => return step,
        }
    }
}

/// One of its conditions, after it has settled.
pub fn condition<'a>(pool: &'a Pool, kind: &str) -> &'a Condition {
    pool.status.conditions.iter().find(|condition| condition.kind == kind).unwrap()
}
