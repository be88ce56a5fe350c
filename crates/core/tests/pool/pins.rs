//! Workers of other versions than the pool's, for tenants that are pinned to one.

use std::collections::BTreeMap;

use duckworker_core::plan::pool::{Step, View, next};
use duckworker_core::pool::{Member, Pool};
use duckworker_core::tenant::TenantTerms;
use duckworker_core::{Image, Reason, Tenant, WorkerState as S};

use crate::common::tenant;
use crate::ground::{failed, filled, template, view};

fn pin() -> Image {
    Image::new("duckdb:pinned").unwrap()
}

fn step(
    pool: &Pool,
    members: &[Member],
    waiting: usize,
    tenants: &BTreeMap<Tenant, TenantTerms>,
) -> Step {
    let pinned: BTreeMap<Image, usize> =
        (waiting > 0).then(|| (pin(), waiting)).into_iter().collect();
    next(&View { pinned: &pinned, tenants, ..view(pool, members, 100) })
}

fn settle(pool: &mut Pool, members: &[Member], waiting: usize) -> Step {
    loop {
        match step(pool, members, waiting, &BTreeMap::new()) {
            Step::Write(status, _) => pool.status = status,
            step => return step,
        }
    }
}

fn pinned(mut member: Member, state: S) -> Member {
    (member.image, member.state, member.template) = (pin(), state, Some(template("pinned")));
    member
}

#[test]
fn one_is_started_for_each_claim_that_waits_for_its_version() {
    let (mut pool, members) = filled(1, 9, &[S::Idle]);
    let Step::Create(wanted) = settle(&mut pool, &members, 2) else { unreachable!() };
    let images: Vec<_> = wanted.into_iter().map(|(_, image)| image).collect();
    assert_eq!(images, [Some(pin()), Some(pin())]);
    // They are on their way: no third is started, and the pool's own warm one is not too many.
    let (mut pool, mut members) = filled(1, 9, &[S::Idle, S::Spawning, S::Idle]);
    members[1] = pinned(members[1].clone(), S::Spawning);
    members[2] = pinned(members[2].clone(), S::Idle);
    assert_eq!(settle(&mut pool, &members, 2), Step::Rest);
}

#[test]
fn one_that_nobody_waits_for_any_more_goes() {
    let (mut pool, mut members) = filled(1, 9, &[S::Idle, S::Idle]);
    members[1] = pinned(members[1].clone(), S::Idle);
    let gone = Step::Retire(vec![(members[1].uid.clone(), Reason::OutOfDate)]);
    assert_eq!(settle(&mut pool, &members, 0), gone);
}

#[test]
fn a_parked_worker_stays_while_it_is_of_its_tenants_version() {
    let (pool, mut members) = filled(1, 9, &[S::Idle, S::HotIdle]);
    members[1] = pinned(members[1].clone(), S::HotIdle);
    members[1].tenant = Some(tenant("acme"));
    let terms = |image| TenantTerms { image, ..TenantTerms::default() };
    let retired = |tenants: &BTreeMap<_, _>| {
        let mut pool = pool.clone();
        loop {
            match step(&pool, &members, 0, tenants) {
                Step::Write(status, _) => pool.status = status,
                step => return matches!(step, Step::Retire(_)),
            }
        }
    };
    assert!(!retired(&BTreeMap::from([(tenant("acme"), terms(Some(pin())))])));
    assert!(retired(&BTreeMap::from([(tenant("acme"), terms(None))])), "the pin is gone");
    assert!(retired(&BTreeMap::new()), "so is the tenant");
}

#[test]
fn a_version_that_does_not_start_holds_up_no_other() {
    let (mut pool, mut members) = filled(1, 9, &[S::Idle, S::Retired]);
    members[1] = failed(pinned(members[1].clone(), S::Retired), Reason::ImagePullFailed, 90, 99);
    assert!(matches!(settle(&mut pool, &members, 1), Step::Wait(_)), "it is paced");
    let (mut pool, _) = filled(1, 9, &[]);
    let members = members.split_off(1);
    let Step::Create(wanted) = settle(&mut pool, &members, 1) else { unreachable!() };
    assert!(wanted.iter().all(|(_, image)| image.is_none()), "the pool's own go on: {wanted:?}");
}
