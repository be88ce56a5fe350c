//! Claims that found no worker raise the number of warm ones, for a while.

use std::time::Duration;

use duckworker_core::Reason;
use duckworker_core::WorkerState as S;
use duckworker_core::plan::pool::demand::Misses;
use duckworker_core::plan::pool::{Step, View, next};
use duckworker_core::pool::{DemandTerms, Member, Pool};

use crate::common::at;
use crate::ground::{filled, view};

fn step(pool: &Pool, members: &[Member], misses: &Misses, second: i64) -> Step {
    next(&View { misses, ..view(pool, members, second) })
}

fn settle(pool: &mut Pool, members: &[Member], misses: &Misses, second: i64) -> Step {
    loop {
        match step(pool, members, misses, second) {
            Step::Write(status, _) => pool.status = status,
            step => return step,
        }
    }
}

fn missed(count: usize, second: i64) -> Misses {
    let mut misses = Misses::default();
    for _ in 0..count {
        misses.note(at(second));
    }
    misses
}

fn asking(max_extra: usize) -> DemandTerms {
    DemandTerms { window: Duration::from_secs(100), max_extra }
}

#[test]
fn what_was_missed_is_kept_ready_as_far_as_there_is_room() {
    for (max_workers, max_extra, started) in [(20, 10, 4), (20, 2, 2), (3, 10, 2), (20, 0, 0)] {
        let (mut pool, members) = filled(1, max_workers, &[S::Idle]);
        pool.terms.demand = asking(max_extra);
        let step = settle(&mut pool, &members, &missed(4, 10), 10);
        let created = if let Step::Create(ordinals) = step { ordinals.len() } else { 0 };
        assert_eq!(created, started, "of {max_workers}, {max_extra} more");
    }
}

#[test]
fn what_decays_is_ended_step_by_step_and_nothing_at_rest() {
    let (mut pool, members) = filled(1, 20, &[S::Idle, S::Idle, S::Idle]);
    pool.terms.demand = asking(10);
    let misses = missed(2, 10);
    let rests = settle(&mut pool, &members, &misses, 15);
    assert_eq!(rests, Step::Wait(Duration::from_secs(5)), "until the next step");
    let Step::Retire(ended) = settle(&mut pool, &members, &misses, 60) else { unreachable!() };
    assert_eq!(ended.len(), 1, "half is left: one");
    assert!(ended.iter().all(|(_, reason)| *reason == Reason::ScaledDown));
    let Step::Retire(ended) = settle(&mut pool, &members, &misses, 110) else { unreachable!() };
    assert_eq!(ended.len(), 2);
    let (mut pool, members) = filled(1, 20, &[S::Idle]);
    pool.terms.demand = asking(10);
    assert_eq!(settle(&mut pool, &members, &misses, 110), Step::Rest);
}

#[test]
fn the_worker_of_a_claim_that_was_given_up_is_kept_for_a_while() {
    let (mut pool, mut members) = filled(1, 20, &[S::Idle, S::Spawning, S::Spawning]);
    pool.terms.hot_idle.ttl = Duration::from_mins(1);
    let mut misses = Misses::default();
    misses.given_up.note(at(10));
    let Step::Retire(ended) = settle(&mut pool, &members, &misses, 10) else { unreachable!() };
    assert_eq!(ended.len(), 1, "one claim was given up, one worker is kept");
    assert_eq!(ended[0].0, members[1].uid, "the youngest");
    members[1].state = S::Retired;
    assert_eq!(settle(&mut pool, &members, &misses, 10), Step::Wait(Duration::from_secs(61)));
    (members[2].state, members[2].idle_since) = (S::Idle, Some(at(20)));
    assert_eq!(settle(&mut pool, &members, &misses, 20), Step::Wait(Duration::from_secs(51)));
    let Step::Retire(ended) = settle(&mut pool, &members, &misses, 71) else { unreachable!() };
    assert_eq!(ended.len(), 1, "its time is over");
}

#[test]
fn what_was_idle_before_a_claim_was_given_up_is_not_kept_for_it() {
    let (mut pool, members) = filled(1, 20, &[S::Idle, S::Idle]);
    pool.terms.hot_idle.ttl = Duration::from_mins(1);
    let mut misses = Misses::default();
    misses.given_up.note(at(10));
    let Step::Retire(ended) = settle(&mut pool, &members, &misses, 10) else { unreachable!() };
    assert_eq!(ended.len(), 1);
}
