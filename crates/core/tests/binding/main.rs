//! The plan of a claim, and the order in which claims get their workers.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../pool/ground.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod ground;
mod why;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{at, tenant};
use duckworker_core::WorkerState as S;
use duckworker_core::claim::{Bound, Claim, ClaimKey, ClaimStatus, OnLoss, Phase, Source};
use duckworker_core::plan::binding::queue::{Free, Queue, Want, Wants};
use duckworker_core::plan::binding::status::{Why, waiting_for};
use duckworker_core::plan::binding::{Loss, SecretStanding, Step, View, next, room};
use duckworker_core::pool::{Member, PoolRef, Undeclared};
use duckworker_core::tenant::{Allowance, DeclaredTenant, TenantKey, TenantStatus, TenantTerms};
use duckworker_core::{Image, Pool, Worker};
use ground::{member, pool, uid};
use proptest::prelude::*;

fn claim(number: i64, of: &str) -> Claim {
    Claim {
        key: ClaimKey {
            namespace: "data".into(),
            name: format!("c-{number}"),
            uid: uid(&format!("claim-{number:03}")),
        },
        generation: 1,
        created: at(number),
        deletion: None,
        pool: "p".into(),
        tenant: tenant(of),
        timeout: None,
        on_loss: OnLoss::Rebind,
        status: ClaimStatus::default(),
    }
}

fn step_with(claim: &Claim, worker: Option<&Member>, change: impl Fn(&mut View<'_>)) -> Step {
    let why = Why::new("PoolEmpty", "workers are being started");
    let mut view = View {
        claim,
        worker,
        secret: SecretStanding::NotMade,
        loss: Loss::Unproven,
        next_worker: None,
        in_the_way: None,
        why: &why,
        now: at(100),
    };
    change(&mut view);
    next(&view)
}

fn step(claim: &Claim, worker: Option<&Member>) -> Step {
    step_with(claim, worker, |_| {})
}

fn written(step: Step) -> ClaimStatus {
    match step {
        Step::Write(status) => status,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_claim_is_bound_step_by_step() {
    let (mut claim, pool) = (claim(1, "a"), pool(1, 9));
    let mut worker = member(&pool, 0, S::Reserved);
    worker.since = at(99);
    assert_eq!(step(&claim, Some(&worker)), Step::MakeSecret(uid("w-0")), "beside the activation");
    let made = |view: &mut View<'_>| view.secret = SecretStanding::Made;
    assert_eq!(step_with(&claim, Some(&worker), made), Step::Wait(Duration::from_secs(1)));
    worker.state = S::Hot;
    assert_eq!(step(&claim, Some(&worker)), Step::MakeSecret(uid("w-0")));
    claim.status = written(step_with(&claim, Some(&worker), made));
    assert_eq!((claim.status.phase, claim.status.source), (Phase::Ready, Some(Source::Warm)));
    assert_eq!(step(&claim, Some(&worker)), Step::Rest);
}

#[test]
fn only_who_waited_for_a_worker_got_a_cold_one() {
    let pool = pool(1, 9);
    let worker = member(&pool, 0, S::Hot);
    let made = |view: &mut View<'_>| view.secret = SecretStanding::Made;
    for (reason, source) in [("PoolEmpty", Source::Cold), ("TenantAtCap", Source::Warm)] {
        let mut claim = claim(1, "a");
        let why = Why::new(reason, "it waits");
        claim.status = waiting_for(&claim, &why, at(50));
        claim.status = written(step_with(&claim, Some(&worker), made));
        assert_eq!(claim.status.source, Some(source), "{reason}");
    }
}

#[test]
fn a_slow_activation_is_told() {
    let (mut claim, pool) = (claim(1, "a"), pool(1, 9));
    let mut worker = member(&pool, 0, S::Activating);
    let made = |view: &mut View<'_>| view.secret = SecretStanding::Made;
    claim.status = written(step_with(&claim, Some(&worker), made));
    assert_eq!(claim.status.phase, Phase::Bound);
    assert_eq!(step(&claim, Some(&worker)), Step::Rest, "its secret is not made again and again");
    worker.state = S::Hot;
    assert_eq!(step(&claim, Some(&worker)), Step::MakeSecret(uid("w-0")));
}

#[test]
fn a_waiting_claim_says_why_and_ends_when_its_time_is_up() {
    let mut claim = claim(90, "a");
    claim.status = written(step(&claim, None));
    assert_eq!(claim.status.conditions[0].reason, "PoolEmpty");
    assert_eq!(step(&claim, None), Step::Rest);
    claim.timeout = Some(Duration::from_secs(11));
    assert_eq!(step(&claim, None), Step::Wait(Duration::from_secs(1)));
    claim.timeout = Some(Duration::from_secs(10));
    claim.status = written(step(&claim, None));
    assert_eq!(claim.status.phase, Phase::Failed);
    assert_eq!(step(&claim, None), Step::Rest, "for good");
}

#[test]
fn a_loss_is_believed_when_it_is_proven() {
    let mut claim = claim(1, "a");
    let epoch = duckworker_core::Epoch::FIRST;
    claim.status.worker = Some(Bound { name: "w".into(), uid: uid("w-0"), epoch });
    claim.status.phase = Phase::Ready;
    claim.status.ready_at = Some(at(5));
    assert_eq!(step(&claim, None), Step::LookForWorker);
    let proven = |view: &mut View<'_>| view.loss = Loss::Proven;
    let again = written(step_with(&claim, None, proven));
    assert_eq!((again.phase, again.worker), (Phase::Pending, None));
    claim.on_loss = OnLoss::Fail;
    assert_eq!(written(step_with(&claim, None, proven)).phase, Phase::Lost);
}

#[test]
fn a_second_worker_that_names_the_claim_is_not_its_own() {
    let (mut claim, pool) = (claim(1, "a"), pool(1, 9));
    let epoch = duckworker_core::Epoch::FIRST;
    claim.status.worker = Some(Bound { name: "w".into(), uid: uid("w-7"), epoch });
    claim.status.phase = Phase::Bound;
    assert_eq!(step(&claim, Some(&member(&pool, 0, S::Hot))), Step::Rest);
}

fn wants(claims: &[Claim], pool: &Pool) -> Wants {
    let want =
        |()| Want { image: pool.terms.image.clone(), allowance: Allowance::More(usize::MAX) };
    claims.iter().map(|claim| (claim.tenant.clone(), want(()))).collect()
}

fn queue(claims: &[Claim]) -> Queue {
    let mut queue = Queue::default();
    for claim in claims {
        queue.enter(claim.tenant.clone(), (claim.created, claim.key.name.clone()));
    }
    queue
}

fn served<'a>(queue: &Queue, claims: &'a [Claim], free: &Free<'_>) -> Vec<(&'a str, String)> {
    let worker = |claim: &Claim| {
        let place = (claim.created, claim.key.name.clone());
        queue.worker_for(&claim.tenant, &place, free).map(ToString::to_string)
    };
    claims.iter().filter_map(|claim| Some((&*claim.key.name, worker(claim)?))).collect()
}

#[test]
fn tenants_take_turns_and_within_one_the_oldest_is_first() {
    let pool = pool(2, 9);
    let members = [member(&pool, 0, S::Idle), member(&pool, 1, S::Idle)];
    let claims = [claim(1, "a"), claim(2, "a"), claim(3, "b")];
    let wants = wants(&claims, &pool);
    let free = Free::of(&members, &wants, &BTreeSet::new());
    let queue = queue(&claims);
    assert_eq!(served(&queue, &claims, &free), [("c-1", "w-0".into()), ("c-3", "w-1".into())]);
}

#[test]
fn a_tenant_that_was_served_waits_until_the_others_were() {
    let pool = pool(0, 1);
    let members = [member(&pool, 0, S::Idle)];
    let claims = [claim(1, "a"), claim(2, "a"), claim(3, "b"), claim(4, "c")];
    let wants = wants(&claims, &pool);
    let free = Free::of(&members, &wants, &BTreeSet::new());
    let mut queue = queue(&claims);
    let mut order = Vec::new();
    while let [(name, _)] = served(&queue, &claims, &free)[..] {
        let claim = claims.iter().find(|claim| claim.key.name == name).unwrap();
        queue.serve(&claim.tenant, &(claim.created, claim.key.name.clone()));
        order.push(name);
    }
    assert_eq!(order, ["c-1", "c-3", "c-4", "c-2"], "each is given back before the next is served");
}

#[test]
fn who_holds_less_is_first_and_a_parked_worker_is_its_own_tenants() {
    let pool = pool(1, 9);
    let mut members =
        [member(&pool, 0, S::Idle), member(&pool, 1, S::Hot), member(&pool, 2, S::HotIdle)];
    members[1].tenant = Some(tenant("a"));
    members[2].tenant = Some(tenant("b"));
    let claims = [claim(1, "a"), claim(2, "b"), claim(3, "b")];
    let wants = wants(&claims, &pool);
    let free = Free::of(&members, &wants, &BTreeSet::new());
    let queue = queue(&claims);
    assert_eq!(served(&queue, &claims, &free), [("c-2", "w-2".into()), ("c-3", "w-0".into())]);
}

#[test]
fn what_stands_in_the_way_of_a_claim_goes_only_when_nothing_else_is_to_be_had() {
    let (claim, own, other) = (claim(1, "a"), uid("w-7"), uid("w-8"));
    let why = Why::new("TenantAtCap", "it holds all that it may hold");
    let mut view = View {
        claim: &claim,
        worker: None,
        secret: SecretStanding::NotMade,
        loss: Loss::Unproven,
        next_worker: None,
        in_the_way: Some(&own),
        why: &why,
        now: at(100),
    };
    assert_eq!(next(&view), Step::MakeRoom(own.clone()));
    view.next_worker = Some(&other);
    assert_eq!(next(&view), Step::Take(other.clone()));
}

#[test]
fn the_longest_parked_worker_that_cannot_serve_stands_in_the_way() {
    let pool = pool(1, 9);
    let claim = claim(1, "a");
    let want = Want { image: pool.terms.image.clone(), allowance: Allowance::More(0) };
    let parked = |name: &str, image: &Image, in_pool: &str, since: i64| {
        let mut worker = common::worker(S::HotIdle);
        worker.key.uid = uid(name);
        worker.spec.image = image.clone();
        worker.pool = Some(PoolRef { name: in_pool.into(), uid: uid(in_pool) });
        worker.status.idle_since = Some(at(since));
        worker
    };
    let other = Image::new("duckdb:other").unwrap();
    let fits = parked("fits", &want.image, "p", 0);
    let elsewhere = parked("elsewhere", &want.image, "q", 5);
    let mut old = parked("old", &other, "p", 3);
    let names = |held: &[&Worker]| room::obstacle(&claim, &want, held).map(|w| w.key.uid.clone());
    assert_eq!(names(&[&fits]), None, "it serves the claim");
    assert_eq!(names(&[&fits, &elsewhere]), Some(uid("elsewhere")));
    assert_eq!(names(&[&fits, &elsewhere, &old]), Some(uid("old")));
    old.status.state = S::Draining;
    assert_eq!(names(&[&fits, &elsewhere, &old]), None, "one at a time");
}

#[test]
fn a_tenant_is_given_what_it_is_declared_for_or_what_the_pool_says() {
    let mut pool = pool(1, 9);
    let anything = Want { image: pool.terms.image.clone(), allowance: Allowance::More(usize::MAX) };
    assert_eq!(Want::of(None, &pool), anything);
    pool.terms.undeclared = Undeclared::Refuse;
    assert_eq!(Want::of(None, &pool).allowance, Allowance::Nothing);
    let pin = Image::new("duckdb:pinned").unwrap();
    let terms =
        TenantTerms { max_workers: Some(2), image: Some(pin.clone()), ..TenantTerms::default() };
    let key = TenantKey { namespace: "data".into(), name: tenant("a"), uid: uid("t") };
    let status = TenantStatus::default();
    let mut declared = DeclaredTenant { key, generation: 1, deletion: None, terms, status };
    let wanted = Want { image: pin, allowance: Allowance::More(2) };
    assert_eq!(Want::of(Some(&declared), &pool), wanted);
    declared.deletion = Some(at(0));
    assert_eq!(Want::of(Some(&declared), &pool).allowance, Allowance::Nothing);
}

#[test]
fn a_tenant_at_its_cap_takes_nobodys_turn_and_keeps_what_is_parked_for_it() {
    let pool = pool(1, 9);
    let mut members = [member(&pool, 0, S::Idle), member(&pool, 1, S::HotIdle)];
    members[1].tenant = Some(tenant("a"));
    let claims = [claim(1, "a"), claim(2, "a"), claim(3, "b")];
    let mut wants = wants(&claims, &pool);
    let queue = queue(&claims);
    wants.get_mut(&tenant("a")).unwrap().allowance = Allowance::More(0);
    let free = Free::of(&members, &wants, &BTreeSet::new());
    assert_eq!(served(&queue, &claims, &free), [("c-1", "w-1".into()), ("c-3", "w-0".into())]);
    assert_eq!(queue.demand(&free).values().sum::<usize>(), 1, "nobody starts one for it");
    wants.get_mut(&tenant("a")).unwrap().allowance = Allowance::Nothing;
    let free = Free::of(&members, &wants, &BTreeSet::new());
    assert_eq!(served(&queue, &claims, &free), [("c-3", "w-0".into())]);
}

#[test]
fn a_claim_that_gets_a_parked_worker_asks_for_no_other() {
    let pool = pool(1, 9);
    let mut members = [member(&pool, 0, S::HotIdle), member(&pool, 1, S::HotIdle)];
    members[0].tenant = Some(tenant("a"));
    members[1].tenant = Some(tenant("b"));
    let claims = [claim(1, "a"), claim(2, "a"), claim(3, "b")];
    let wants = wants(&claims, &pool);
    let demand = |members: &[Member]| {
        let free = Free::of(members, &wants, &BTreeSet::new());
        queue(&claims).demand(&free).into_values().sum::<usize>()
    };
    assert_eq!(demand(&members), 1, "the second of a");
    members[1].deleting = true;
    assert_eq!(demand(&members), 2);
    assert_eq!(demand(&[]), 3);
}

#[test]
fn who_is_pinned_to_a_version_gets_that_one_or_waits() {
    let pool = pool(1, 9);
    let mut members = [member(&pool, 0, S::Idle), member(&pool, 1, S::Idle)];
    let claims = [claim(1, "a"), claim(2, "b")];
    let mut wants = wants(&claims, &pool);
    let pin = Image::new("duckdb:pinned").unwrap();
    wants.get_mut(&tenant("a")).unwrap().image = pin.clone();
    let queue = queue(&claims);
    let free = Free::of(&members, &wants, &BTreeSet::new());
    assert_eq!(served(&queue, &claims, &free), [("c-2", "w-0".into())]);
    assert_eq!(queue.demand(&free).get(&pin), Some(&1));
    members[1].image = pin;
    let free = Free::of(&members, &wants, &BTreeSet::new());
    assert_eq!(served(&queue, &claims, &free), [("c-1", "w-1".into()), ("c-2", "w-0".into())]);
}

proptest! {
    #[test]
    fn each_worker_is_one_claims_and_as_many_are_served_as_can_be(
        tenants in prop::collection::vec(0..4_u8, 0..20),
        states in prop::collection::vec((0..3_u8, 0..4_u8), 0..12),
    ) {
        let pool = pool(1, 99);
        let claims: Vec<_> = (0..).zip(&tenants).map(|(n, t)| claim(n, &format!("t{t}"))).collect();
        let members: Vec<_> = (0..).zip(&states).map(|(n, (state, of))| {
            let state = [S::Idle, S::HotIdle, S::Hot][usize::from(*state)];
            let mut member = member(&pool, n, state);
            member.tenant = (state != S::Idle).then(|| tenant(&format!("t{of}")));
            member
        }).collect();
        let wants = wants(&claims, &pool);
        let free = Free::of(&members, &wants, &BTreeSet::new());
        let queue = queue(&claims);
        let served = served(&queue, &claims, &free);
        let workers: BTreeSet<_> = served.iter().map(|(_, worker)| worker).collect();
        prop_assert_eq!(workers.len(), served.len(), "no worker twice: {:?}", served);
        let of = |tenant: &duckworker_core::Tenant, state: S| {
            members.iter().filter(|m| m.state == state && m.tenant.as_ref() == Some(tenant)).count()
        };
        let idle = members.iter().filter(|m| m.state == S::Idle).count();
        let by_parked: usize = (0..4).map(|t| {
            let name = tenant(&format!("t{t}"));
            claims.iter().filter(|c| c.tenant == name).count().min(of(&name, S::HotIdle))
        }).sum();
        let rest = claims.len() - by_parked;
        prop_assert_eq!(served.len(), by_parked + rest.min(idle));
        prop_assert_eq!(queue.len(), claims.len());
    }
}
