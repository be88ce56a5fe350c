//! Workers of other versions than the pool's, for tenants that are pinned to one.

use std::collections::BTreeMap;

use duckworker_core::plan::pool::{Step, View, next};
use duckworker_core::pool::{Member, Pool, Rollout};
use duckworker_core::tenant::TenantTerms;
use duckworker_core::{Fingerprint, Image, Reason, Tenant, WorkerState as S};

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
    let pins = BTreeMap::from([(pin(), made_of(&pool.terms.template))]);
    next(&View { pinned: &pinned, pins: &pins, tenants, ..view(pool, members, 100) })
}

/// What a worker of the pinned version is told by that is made of this template.
fn made_of(template_of_the_pool: &Fingerprint) -> Fingerprint {
    template(&format!("pinned {}", template_of_the_pool.as_str()))
}

fn settle(pool: &mut Pool, members: &[Member], waiting: usize) -> Step {
    settle_with(pool, members, waiting, &BTreeMap::new())
}

fn settle_with(
    pool: &mut Pool,
    members: &[Member],
    waiting: usize,
    tenants: &BTreeMap<Tenant, TenantTerms>,
) -> Step {
    loop {
        match step(pool, members, waiting, tenants) {
            Step::Write(status, _) => pool.status = status,
            step => return step,
        }
    }
}

/// What `acme` says: this version.
fn acme(image: Option<Image>) -> BTreeMap<Tenant, TenantTerms> {
    BTreeMap::from([(tenant("acme"), TenantTerms { image, ..TenantTerms::default() })])
}

fn pinned(mut member: Member, state: S) -> Member {
    let made_of = member.template.as_ref().map(made_of);
    (member.image, member.state, member.template) = (pin(), state, made_of);
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
    let retired = |tenants: BTreeMap<_, _>| {
        let step = settle_with(&mut pool.clone(), &members, 0, &tenants);
        matches!(step, Step::Retire(_))
    };
    assert!(!retired(acme(Some(pin()))));
    assert!(retired(acme(None)), "the pin is gone");
    assert!(retired(BTreeMap::new()), "so is the tenant");
}

#[test]
fn a_parked_worker_of_an_older_template_goes_though_it_is_of_its_tenants_version() {
    let (mut pool, mut members) = filled(1, 9, &[S::Idle, S::HotIdle, S::Hot]);
    for member in &mut members[1..] {
        *member = pinned(member.clone(), member.state);
        member.tenant = Some(tenant("acme"));
    }
    assert_eq!(settle_with(&mut pool, &members, 0, &acme(Some(pin()))), Step::Rest);
    pool.terms.template = template("two");
    members[0].template = Some(template("two"));
    let gone = Step::Retire(vec![(members[1].uid.clone(), Reason::OutOfDate)]);
    assert_eq!(settle_with(&mut pool, &members, 0, &acme(Some(pin()))), gone, "but no busy one");
    pool.terms.rollout = Rollout::Paused;
    assert_eq!(settle_with(&mut pool, &members, 0, &acme(Some(pin()))), Step::Rest);
}

#[test]
fn one_of_an_older_template_that_still_starts_makes_way_and_its_failures_count_no_more() {
    let (mut pool, mut members) = filled(1, 9, &[S::Idle, S::Spawning]);
    members[1] = pinned(members[1].clone(), S::Spawning);
    pool.terms.template = template("two");
    members[0].template = Some(template("two"));
    let gone = Step::Retire(vec![(members[1].uid.clone(), Reason::OutOfDate)]);
    assert_eq!(settle(&mut pool, &members, 1), gone);
    let unschedulable = failed(members[1].clone(), Reason::Unschedulable, 90, 99);
    members[1] = unschedulable;
    let Step::Create(wanted) = settle(&mut pool, &members, 1) else { unreachable!() };
    assert!(wanted.into_iter().map(|(_, image)| image).eq([Some(pin())]), "at once");
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
