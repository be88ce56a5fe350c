//! What the plan does in one view.

use std::collections::BTreeSet;
use std::time::Duration;

use duckworker_core::conditions::ConditionStatus;
use duckworker_core::plan::pool::{Pace, Step, View, next};
use duckworker_core::pool::{Ordinal, Rollout};
use duckworker_core::{Image, Reason, WorkerState as S};

use crate::common::{at, tenant};
use crate::ground::{
    condition, failed, filled, member, pool, settle, step, step_with, template, uid, view,
};

fn ordinals(numbers: &[i64]) -> Vec<(Ordinal, Option<Image>)> {
    numbers.iter().map(|number| (Ordinal::new(*number).unwrap(), None)).collect()
}

fn retired(step: &Step) -> Vec<String> {
    match step {
        Step::Retire(all) => all.iter().map(|(uid, _)| uid.to_string()).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn an_empty_pool_takes_seats_first_and_creates_then() {
    let mut pool = pool(2, 5);
    assert!(matches!(step(&pool, &[], 0), Step::Write(..)));
    assert_eq!(settle(&mut pool, &[], 0), Step::Create(ordinals(&[0, 1])));
}

#[test]
fn what_was_created_is_written_down() {
    let mut pool = pool(2, 5);
    settle(&mut pool, &[], 0);
    let members = [member(&pool, 0, S::Pending), member(&pool, 1, S::Pending)];
    settle(&mut pool, &members, 1);
    assert!(pool.status.seats.name(&uid("w-0")) && pool.status.seats.name(&uid("w-1")));
}

#[test]
fn what_nobody_waits_for_goes_into_one_write_with_what_comes_next() {
    let pace_of = |idle: usize, demand: usize| {
        let mut states = [S::Idle; 4];
        states[idle..].fill(S::Hot);
        let (pool, members) = filled(4, 9, &states);
        let view = View { demand, ..view(&pool, &members, 0) };
        let Step::Write(_, pace) = next(&view) else { unreachable!("some are missing") };
        pace
    };
    assert_eq!(pace_of(3, 0), Pace::Brisk);
    assert_eq!(pace_of(3, 1), Pace::AtOnce, "a claim waits");
    assert_eq!(pace_of(1, 0), Pace::AtOnce, "it is about to be empty");
}

#[test]
fn a_seat_is_given_back_when_its_worker_is_over() {
    for end in [S::Retired, S::Lost] {
        let (mut pool, members) = filled(0, 5, &[end]);
        assert_eq!(settle(&mut pool, &members, 0), Step::Rest);
        assert!(pool.status.seats.taken.is_empty());
    }
}

#[test]
fn a_worker_that_is_not_seen_is_looked_for_before_its_seat_is_given_back() {
    let (pool, _) = filled(0, 5, &[S::Idle]);
    let lost = (Ordinal::new(0).unwrap(), uid("w-0"));
    assert_eq!(step(&pool, &[], 0), Step::LookFor(vec![lost]));
    let gone = BTreeSet::from([uid("w-0")]);
    let view = View { gone: &gone, ..view(&pool, &[], 0) };
    let Step::Write(status, _) = next(&view) else { unreachable!() };
    assert!(status.seats.taken.is_empty());
}

#[test]
fn the_maximum_counts_every_state_but_the_last() {
    for state in S::ALL.into_iter().filter(|state| !state.is_terminal()) {
        let (mut pool, members) = filled(2, 2, &[state, state]);
        settle(&mut pool, &members, 0);
        assert_eq!(pool.status.seats.taken.len(), 2, "{state}");
    }
}

#[test]
fn only_so_many_start_at_once() {
    let mut pool = pool(10, 20);
    pool.terms.max_starting = 3;
    assert_eq!(settle(&mut pool, &[], 0), Step::Create(ordinals(&[0, 1, 2])));
    let starting: Vec<_> = (0..3).map(|n| member(&pool, n, S::Spawning)).collect();
    settle(&mut pool, &starting, 1);
    assert_eq!(pool.status.seats.taken.len(), 3);
}

#[test]
fn demand_is_kept_warm_beside_the_replicas() {
    let (pool, members) = filled(1, 9, &[S::Idle]);
    let Step::Write(status, _) = step_with(&pool, &members, 0, 4) else { unreachable!() };
    assert_eq!(status.seats.taken.len(), 5);
}

#[test]
fn scaling_down_takes_the_out_of_date_then_the_unready_then_the_longest_idle() {
    let (mut pool, mut members) =
        filled(5, 9, &[S::Idle, S::Idle, S::Idle, S::Spawning, S::Idle, S::Hot]);
    members[4].template = Some(template("old"));
    pool.terms.rollout = Rollout::Paused;
    for (replicas, gone) in
        [(4, vec!["w-4"]), (3, vec!["w-4", "w-3"]), (2, vec!["w-4", "w-3", "w-0"])]
    {
        pool.terms.replicas = replicas;
        let step = settle(&mut pool, &members, 0);
        assert_eq!(retired(&step), gone, "{replicas}");
    }
    pool.terms.replicas = 0;
    assert!(!retired(&settle(&mut pool, &members, 0)).contains(&"w-5".to_owned()), "busy");
}

#[test]
fn a_pending_one_that_is_too_many_is_deleted() {
    let (mut pool, members) = filled(0, 9, &[S::Pending]);
    assert_eq!(settle(&mut pool, &members, 0), Step::Delete(vec![uid("w-0")]));
}

#[test]
fn a_late_creation_of_an_earlier_leader_is_deleted() {
    let (mut pool, mut members) = filled(1, 9, &[S::Idle]);
    pool.status.seats.next = Ordinal::new(5).unwrap();
    members.push(member(&pool, 3, S::Pending));
    assert_eq!(settle(&mut pool, &members, 0), Step::Delete(vec![uid("w-3")]));
    // One of a number that this version of the pool has not given yet is not judged.
    members[1] = member(&pool, 5, S::Pending);
    assert_eq!(settle(&mut pool, &members, 0), Step::Rest);
}

#[test]
fn a_new_template_replaces_idle_ones_within_its_limits() {
    let (mut pool, mut members) = filled(3, 9, &[S::Idle, S::Idle, S::Idle, S::Hot, S::HotIdle]);
    pool.terms.template = template("two");
    members[3].tenant = Some(tenant("a"));
    let step = settle(&mut pool, &members, 0);
    assert_eq!(retired(&step), ["w-4", "w-0"], "the parked one, and one idle one; never the hot");
    members[4].state = S::Retired;
    members[0].state = S::Retired;
    assert_eq!(settle(&mut pool, &members, 1), Step::Create(ordinals(&[5])));
    members.push(member(&pool, 5, S::Spawning));
    let step = settle(&mut pool, &members, 2);
    assert!(matches!(step, Step::Wait(_)), "two idle ones are left: {step:?}");
    members[5].state = S::Idle;
    assert_eq!(retired(&settle(&mut pool, &members, 3)), ["w-1"]);
}

#[test]
fn a_surge_starts_new_ones_first() {
    let (mut pool, mut members) = filled(2, 9, &[S::Idle, S::Idle]);
    (pool.terms.max_unavailable, pool.terms.max_surge) = (0, 1);
    pool.terms.template = template("two");
    assert_eq!(settle(&mut pool, &members, 0), Step::Create(ordinals(&[2])));
    members.push(member(&pool, 2, S::Idle));
    assert_eq!(retired(&settle(&mut pool, &members, 1)), ["w-0"]);
}

#[test]
fn a_surge_without_room_gives_way() {
    let (mut pool, members) = filled(2, 2, &[S::Idle, S::Idle]);
    (pool.terms.max_unavailable, pool.terms.max_surge) = (0, 1);
    pool.terms.template = template("two");
    assert_eq!(retired(&settle(&mut pool, &members, 0)), ["w-0"], "else it never ended");
}

#[test]
fn a_paused_rollout_leaves_all_alone() {
    let (mut pool, members) = filled(2, 9, &[S::Idle, S::Idle, S::HotIdle]);
    pool.terms.template = template("two");
    pool.terms.rollout = Rollout::Paused;
    assert_eq!(settle(&mut pool, &members, 0), Step::Rest);
}

#[test]
fn failures_of_the_template_make_pauses_and_a_mended_one_makes_none() {
    let (mut pool, members) = filled(4, 9, &[S::Spawning, S::Spawning, S::Spawning]);
    let failures: Vec<_> =
        members.into_iter().map(|m| failed(m, Reason::ImagePullFailed, 0, 10)).collect();
    let Step::Wait(pause) = settle(&mut pool, &failures, 12) else { unreachable!() };
    assert_eq!(pause.as_secs(), 8, "one round, ten seconds after its end");
    let degraded = condition(&pool, "Degraded");
    assert_eq!((degraded.status, &*degraded.reason), (ConditionStatus::True, "ImagePullFailed"));
    assert_eq!(settle(&mut pool, &failures, 20), Step::Create(ordinals(&[3])), "one tries");
    pool.terms.template = template("mended");
    settle(&mut pool, &failures, 12);
    assert_eq!(pool.status.seats.taken.len(), 4, "a mended template starts at once");
}

#[test]
fn pauses_double_with_each_round_up_to_a_limit() {
    let (mut pool, _) = filled(1, 9, &[]);
    pool.terms.progress_deadline = Duration::from_mins(150);
    let rounds = |count: i64| -> Vec<_> {
        let of = |round| {
            let one = member(&pool, round, S::Spawning);
            failed(one, Reason::Crashed, 100 * round, 100 * round + 10)
        };
        (0..count).map(of).collect()
    };
    let all: Vec<_> = (1..8).map(|count| (count, rounds(count))).collect();
    for (count, failures) in all {
        let Step::Wait(pause) = settle(&mut pool, &failures, 100 * count - 90) else {
            unreachable!()
        };
        assert_eq!(pause.as_secs(), (10 << (count - 1)).min(120), "{count}");
    }
}

#[test]
fn a_success_ends_the_pauses() {
    let (mut pool, mut members) = filled(3, 9, &[S::Idle, S::Spawning]);
    members[1] = failed(members[1].clone(), Reason::Crashed, 0, 5);
    members[0].since = at(9);
    assert!(matches!(settle(&mut pool, &members, 10), Step::Create(_)));
}

#[test]
fn a_pod_that_others_took_away_is_no_failure() {
    let (mut pool, mut members) = filled(1, 9, &[S::Idle]);
    members[0] = failed(members[0].clone(), Reason::Evicted, 0, 5);
    assert!(matches!(settle(&mut pool, &members, 6), Step::Create(_)));
}

#[test]
fn a_rollout_that_stands_still_is_told_once_and_a_success_takes_it_back() {
    let (mut pool, mut members) = filled(2, 9, &[S::Idle, S::Idle, S::Spawning]);
    pool.terms.template = template("two");
    pool.generation = 2;
    members[2].template = Some(template("two"));
    members[0].state = S::Retired;
    let Step::Wait(left) = settle(&mut pool, &members, 100) else { unreachable!() };
    assert_eq!(left.as_secs(), 600);
    assert_eq!(condition(&pool, "Progressing").status, ConditionStatus::True);
    for second in [700, 9000] {
        assert_eq!(settle(&mut pool, &members, second), Step::Rest);
        assert_eq!(condition(&pool, "Progressing").reason, "ProgressDeadlineExceeded");
        assert_eq!(condition(&pool, "Stalled").status, ConditionStatus::True);
    }
    members[2].state = S::Idle;
    members[2].since = at(9001);
    assert_eq!(retired(&settle(&mut pool, &members, 9002)), ["w-1"]);
    members[1].state = S::Retired;
    settle(&mut pool, &members, 9003);
    assert_eq!(condition(&pool, "Progressing").reason, "Complete");
    assert!(!pool.status.conditions.iter().any(|c| c.kind == "Stalled"));
}

#[test]
fn a_pool_without_an_idle_worker_is_not_ready_where_all_may_be_unavailable() {
    let (mut pool, mut members) = filled(1, 9, &[S::Spawning]);
    pool.terms.max_unavailable = 1;
    settle(&mut pool, &members, 0);
    assert_eq!(condition(&pool, "Ready").reason, "Filling");
    settle(&mut pool, &members, 600);
    assert_eq!(condition(&pool, "Stalled").status, ConditionStatus::True);
    members[0].state = S::Idle;
    members[0].since = at(601);
    settle(&mut pool, &members, 602);
    assert_eq!(condition(&pool, "Ready").reason, "AsWanted");
}

#[test]
fn a_full_pool_says_so() {
    let (mut pool, members) = filled(2, 2, &[S::Hot, S::Hot]);
    settle(&mut pool, &members, 0);
    assert_eq!(condition(&pool, "Available").reason, "PoolAtMax");
    assert_eq!(condition(&pool, "Ready").status, ConditionStatus::True, "it does what it may");
}

#[test]
fn a_pool_that_goes_makes_nothing() {
    let mut pool = pool(2, 2);
    pool.deletion = Some(at(0));
    assert_eq!(step(&pool, &[], 1), Step::Rest);
}

#[test]
fn parked_workers_go_by_age_within_floor_and_cap() {
    use duckworker_core::plan::janitor::parked::overdue;
    use duckworker_core::pool::HotIdleTerms;
    let (pool, mut members) = filled(0, 9, &[S::HotIdle, S::HotIdle, S::HotIdle, S::HotIdle]);
    for (member, (of, since)) in members.iter_mut().zip([("a", 0), ("a", 10), ("a", 90), ("b", 0)])
    {
        member.tenant = Some(tenant(of));
        member.idle_since = Some(at(since));
    }
    let mut terms = pool.terms.hot_idle;
    let going = |terms: &HotIdleTerms| -> Vec<String> {
        overdue(&members, |_| *terms, at(100)).iter().map(ToString::to_string).collect()
    };
    assert_eq!(going(&terms), ["w-0", "w-1", "w-3"], "sixty seconds are over");
    terms.min_per_tenant = 2;
    assert_eq!(going(&terms), ["w-0"]);
    terms.max_per_tenant = Some(1);
    assert_eq!(going(&terms), ["w-0", "w-1"], "the cap is stronger");
}

#[test]
fn parked_workers_of_others_make_room_for_claims_that_wait() {
    let (mut pool, mut members) = filled(0, 4, &[S::HotIdle, S::HotIdle, S::HotIdle, S::Hot]);
    for (member, of) in members.iter_mut().zip(["a", "b", "b", "c"]) {
        member.tenant = Some(tenant(of));
        member.idle_since = Some(member.since);
    }
    let awaited = BTreeSet::from([tenant("a")]);
    let step_of = |pool: &duckworker_core::Pool, demand| {
        next(&View { demand, awaited: &awaited, ..view(pool, &members, 9) })
    };
    assert_eq!(retired(&step_of(&pool, 1)), ["w-1"], "the longest parked, and never the waiter's");
    pool.terms.hot_idle.min_per_tenant = 2;
    assert_eq!(retired(&step_of(&pool, 1)), [""; 0], "a floor is a floor");
    pool.terms.hot_idle.min_per_tenant = 0;
    pool.terms.max_workers = 5;
    assert!(matches!(step_of(&pool, 1), Step::Write(..)), "there is room");
}
