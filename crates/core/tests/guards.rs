//! What single transitions ask beyond right and state.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::panic,
    clippy::too_many_lines,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{at, every_transition, facts, owner, tenant, worker};
use duckworker_core::conditions::{Condition, ConditionStatus, ConditionType};
use duckworker_core::decide::OVERDUE_MARGIN;
use duckworker_core::names::Uid;
use duckworker_core::transition::Note;
use duckworker_core::worker::{ClaimRef, PodRef, RecordedName};
use duckworker_core::{
    Epoch, Facts, Image, LeaseFence, Miss, OwnerStanding, Reason, Right, Room, SnapshotFence,
    Terminal, Transition, TransitionName, Worker, WorkerState, WorkerStatus, decide,
};

const LIVE: OwnerStanding = OwnerStanding::Live;

fn by_instance(worker: &Worker, transition: &Transition) -> Result<WorkerStatus, Miss> {
    decide(worker, &Right::Instance(&owner("new")), transition, &facts(LIVE, Room::Free))
}

fn by_lease(worker: &Worker, transition: &Transition) -> Result<WorkerStatus, Miss> {
    let fence = LeaseFence {
        key: worker.key.clone(),
        owner: worker.status.owner().unwrap().clone(),
        epoch: worker.status.epoch(),
    };
    decide(worker, &Right::Lease(&fence), transition, &facts(LIVE, Room::Free))
}

fn claim() -> ClaimRef {
    ClaimRef { name: "c".into(), uid: Uid::new("claim-1").unwrap() }
}

#[test]
fn a_dedicated_worker_is_claimed_for_its_own_tenant_only() {
    let mut idle = worker(WorkerState::Idle);
    idle.spec.dedicated_to = Some(tenant("acme"));
    let of = |name| Transition::ClaimIdle { tenant: tenant(name), claim: None };
    assert_eq!(by_instance(&idle, &of("other")).unwrap_err(), Miss::Assignment);
    assert_eq!(by_instance(&idle, &of("acme")).unwrap().tenant, Some(tenant("acme")));
}

#[test]
fn a_parked_worker_serves_its_tenant_and_version_only() {
    let parked = worker(WorkerState::HotIdle);
    let of = |name, version: Option<&str>| Transition::ClaimHotIdle {
        tenant: tenant(name),
        version: version.map(|v| Image::new(v).unwrap()),
        claim: Some(claim()),
    };
    assert_eq!(by_instance(&parked, &of("other", None)).unwrap_err(), Miss::Assignment);
    assert_eq!(by_instance(&parked, &of("acme", Some("duckdb:2"))).unwrap_err(), Miss::Assignment);
    let won = by_instance(&parked, &of("acme", Some("duckdb:1"))).unwrap();
    assert_eq!(won.claim, Some(claim()));
    assert_eq!(won.idle_since, None);
}

#[test]
fn a_claim_is_set_with_the_worker_kept_while_it_serves_and_cleared_when_it_is_released() {
    let wanted = Transition::ClaimIdle { tenant: tenant("acme"), claim: Some(claim()) };
    let mut taken = worker(WorkerState::Idle);
    taken.status = by_instance(&taken, &wanted).unwrap();
    assert_eq!(taken.status.claim, Some(claim()));
    taken.status = by_lease(&taken, &Transition::Activate).unwrap();
    let activated = Transition::Activated { credentials_expire_at: None };
    taken.status = by_lease(&taken, &activated).unwrap();
    assert_eq!(taken.status.claim, Some(claim()));
    assert_eq!(by_lease(&taken, &Transition::Release).unwrap().claim, None);
}

#[test]
fn a_take_over_needs_the_epoch_the_tenant_and_no_claim() {
    let mut hot = worker(WorkerState::Hot);
    let of = |name, epoch| Transition::TakeOver {
        tenant: tenant(name),
        expected: Epoch::new(epoch).unwrap(),
    };
    assert_eq!(by_instance(&hot, &of("acme", 6)).unwrap_err(), Miss::Epoch);
    assert_eq!(by_instance(&hot, &of("other", 7)).unwrap_err(), Miss::Assignment);
    let won = by_instance(&hot, &of("acme", 7)).unwrap();
    assert_eq!((won.owner(), won.epoch().get()), (Some(&owner("new")), 8));
    hot.status.claim = Some(claim());
    assert_eq!(by_instance(&hot, &of("acme", 7)).unwrap_err(), Miss::Assignment);
}

#[test]
fn only_a_worker_that_was_hot_is_parked() {
    let mut reserved = worker(WorkerState::Reserved);
    reserved.status.claim = Some(claim());
    assert_eq!(by_lease(&reserved, &Transition::Park).unwrap_err(), Miss::State);
    reserved.status.transitions[0].name = RecordedName::Known(TransitionName::ClaimHotIdle);
    let parked = by_lease(&reserved, &Transition::Park).unwrap();
    assert_eq!((parked.state, parked.claim), (WorkerState::HotIdle, None));
}

#[test]
fn a_deleted_worker_that_its_owner_neglects_is_adopted_after_its_drain_timeout() {
    let mut hot = worker(WorkerState::Hot);
    hot.deletion = Some(at(0));
    let mut facts = facts(LIVE, Room::Free);
    facts.now = at(899);
    let new = owner("new");
    let adopt = |facts: &Facts| decide(&hot, &Right::Instance(&new), &Transition::Adopt, facts);
    assert_eq!(adopt(&facts).unwrap_err(), Miss::OwnerAlive);
    facts.now = at(900);
    assert_eq!(adopt(&facts).unwrap().owner(), Some(&owner("new")));
}

#[test]
fn nobody_adopts_from_himself() {
    let hot = worker(WorkerState::Hot);
    let decided = decide(
        &hot,
        &Right::Instance(&owner("me")),
        &Transition::Adopt,
        &facts(OwnerStanding::Expired, Room::Free),
    );
    assert_eq!(decided.unwrap_err(), Miss::Owner);
}

#[test]
fn a_draining_worker_is_retired_by_others_only_when_overdue() {
    let draining = worker(WorkerState::Draining);
    let seen = SnapshotFence::of(&draining);
    let me = owner("janitor");
    let right = Right::Snapshot { seen: &seen, by: &me };
    let retire = Transition::RetireFromSnapshot(Terminal::Retired, Reason::Stuck);
    let limit = draining.spec.drain_timeout + OVERDUE_MARGIN;
    let mut facts = facts(LIVE, Room::Free);
    facts.now = at(0) + limit - Duration::from_secs(1);
    assert_eq!(decide(&draining, &right, &retire, &facts).unwrap_err(), Miss::OwnerAlive);
    facts.now = at(0) + limit;
    assert_eq!(decide(&draining, &right, &retire, &facts).unwrap().state, WorkerState::Retired);
}

#[test]
fn pod_and_secret_are_recorded_once() {
    let mut spawning = worker(WorkerState::Spawning);
    spawning.status.pod = None;
    let pod = |uid| Note {
        pod: Some(PodRef { name: "w".into(), uid: Uid::new(uid).unwrap(), ip: None }),
        secret_name: Some("w-rpc".into()),
        ..Note::default()
    };
    let noted = by_lease(&spawning, &Transition::Note(pod("pod-1"))).unwrap();
    assert_eq!(noted.secret_name.as_deref(), Some("w-rpc"));
    spawning.status = noted;
    assert!(by_lease(&spawning, &Transition::Note(pod("pod-1"))).is_ok());
    assert_eq!(by_lease(&spawning, &Transition::Note(pod("pod-2"))).unwrap_err(), Miss::State);
    let other = Note { secret_name: Some("other".into()), ..Note::default() };
    assert_eq!(by_lease(&spawning, &Transition::Note(other)).unwrap_err(), Miss::State);
}

#[test]
fn before_its_first_owner_only_conditions_are_noted() {
    let pending = worker(WorkerState::Pending);
    for note in [
        Note { secret_name: Some("w-rpc".into()), ..Note::default() },
        Note { endpoint: Some("10.0.0.1:8816".into()), ..Note::default() },
        Note { server_name: Some("w.data.duckworker".into()), ..Note::default() },
        Note { credentials_expire_at: Some(at(60)), ..Note::default() },
    ] {
        let refused = by_instance(&pending, &Transition::Note(note.clone()));
        assert_eq!(refused.unwrap_err(), Miss::State, "{note:?}");
    }
    let (kind, holds) = (ConditionType::PodBlocked, ConditionStatus::True);
    let condition = Condition::new(kind, holds, "PodRefused", "no such class", at(0));
    let note = Note { conditions: vec![condition.clone()], ..Note::default() };
    let noted = by_instance(&pending, &Transition::Note(note)).unwrap();
    // Nothing is in the way of a pod that nobody has begun.
    assert!(noted.conditions.iter().all(|known| known.kind == "Ready"));
    let note = Note { conditions: vec![condition.clone()], ..Note::default() };
    let spawning = worker(WorkerState::Spawning);
    let noted = by_lease(&spawning, &Transition::Note(note)).unwrap();
    assert!(noted.conditions.iter().any(|known| known.says_the_same(&condition)));
}

#[test]
fn a_note_leaves_every_clock_alone() {
    let mut idle = worker(WorkerState::Idle);
    idle.status.idle_since = Some(at(-100));
    let noted = by_lease(&idle, &Transition::Note(Note::default())).unwrap();
    let clocks = |status: &WorkerStatus| (status.state_since, status.idle_since);
    assert_eq!(clocks(&noted), (Some(at(0)), Some(at(-100))));
}

#[test]
fn only_an_activation_or_a_note_says_when_credentials_expire() {
    let mut won = 0;
    for (state, transition) in every_cell() {
        if matches!(transition, Transition::Activated { .. }) {
            continue;
        }
        let mut worker = worker(state);
        worker.status.credentials_expire_at = Some(at(60));
        for decided in [by_lease(&worker, &transition), by_instance(&worker, &transition)] {
            let Ok(status) = decided else { continue };
            assert_eq!(status.credentials_expire_at, Some(at(60)), "{state} {transition:?}");
            won += 1;
        }
    }
    assert!(won > 30, "only {won} cells win");
}

fn every_cell() -> impl Iterator<Item = (WorkerState, Transition)> {
    // A Pending one has no owner, and so no lease.
    let states = WorkerState::ALL.into_iter().filter(|state| *state != WorkerState::Pending);
    states
        .flat_map(|state| every_transition().into_iter().map(move |transition| (state, transition)))
}

#[test]
fn a_refresh_leaves_the_idle_clock_alone() {
    let mut parked = worker(WorkerState::HotIdle);
    parked.status.idle_since = Some(at(-100));
    let refreshed = by_lease(&parked, &Transition::RefreshLease).unwrap();
    assert_eq!(refreshed.idle_since, Some(at(-100)));
    assert_eq!(refreshed.state_since, parked.status.state_since);
    assert_eq!(refreshed.transitions, parked.status.transitions);
}

#[test]
fn who_could_not_be_started_is_stalled_and_who_is_not_wanted_any_more_is_not() {
    for (reason, stalled) in [(Reason::ImagePullFailed, true), (Reason::Released, false)] {
        let worker = worker(WorkerState::Spawning);
        let conditions = by_lease(&worker, &Transition::Abandon(reason)).unwrap().conditions;
        let condition = conditions.iter().find(|condition| condition.kind == "Stalled");
        assert_eq!(condition.is_some_and(|c| c.reason == reason.to_string()), stalled);
    }
}
