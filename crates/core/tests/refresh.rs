//! Which workers get their tenant's credentials anew.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use common::{at, worker};
use duckworker_core::names::Uid;
use duckworker_core::plan::refresh::{Candidate, Given, due, has_it_already, pause_after};
use duckworker_core::{Worker, WorkerState as S};
use jiff::Timestamp;
use proptest::prelude::*;

const HOUR: Duration = Duration::from_hours(1);

fn hot(uid: &str, expire_at: Option<Timestamp>) -> Worker {
    let mut hot = worker(S::Hot);
    hot.key.uid = Uid::new(uid).unwrap();
    hot.status.credentials_expire_at = expire_at;
    hot
}

fn given(revision: &str, made: i64, expire_at: Option<Timestamp>) -> Given {
    Given { revision: revision.to_owned(), at: at(made), expire_at }
}

fn candidate<'a>(worker: &'a Worker, given: Option<&'a Given>) -> Candidate<'a> {
    Candidate { worker, given, current: Some("one") }
}

fn is_due(candidate: Candidate<'_>) -> bool {
    !due([candidate], HOUR, at(0)).is_empty()
}

#[test]
fn those_of_unknown_expiry_come_first_then_the_soonest() {
    let soon = hot("b-soon", Some(at(60)));
    let later = hot("a-later", Some(at(120)));
    let unknown = hot("z-unknown", None);
    let fresh = hot("c-fresh", Some(at(3500)));
    let all = [&later, &fresh, &soon, &unknown].map(|worker| candidate(worker, None));
    let order: Vec<&str> = due(all, HOUR, at(0)).into_iter().map(Uid::as_str).collect();
    assert_eq!(order, ["z-unknown", "b-soon", "a-later"]);
}

#[test]
fn only_the_hot_and_the_parked_are_due() {
    for state in S::ALL {
        let mut any = worker(state);
        any.status.credentials_expire_at = Some(at(1));
        let expected = matches!(state, S::Hot | S::HotIdle);
        assert_eq!(is_due(candidate(&any, None)), expected, "{state}");
        any.deletion = Some(at(0));
        assert!(!is_due(candidate(&any, None)), "{state}, while it is being deleted");
    }
}

#[test]
fn half_of_the_lifetime_is_what_counts() {
    // Made ten minutes ago for an hour, as this process knows: half is over in twenty minutes.
    let worker = hot("w", Some(at(3000)));
    let mine = given("one", -600, Some(at(3000)));
    assert!(!is_due(candidate(&worker, Some(&mine))));
    assert_eq!(due([candidate(&worker, Some(&mine))], HOUR, at(1201)).len(), 1);
    // Made by another for nobody knows how long: an hour is assumed.
    assert!(!is_due(candidate(&worker, None)));
    assert_eq!(due([candidate(&worker, None)], HOUR, at(1201)).len(), 1);
    // Short-lived ones are not refreshed all the time.
    let short = hot("s", Some(at(50)));
    let mine = given("one", -10, Some(at(50)));
    assert!(!is_due(candidate(&short, Some(&mine))));
}

#[test]
fn a_rotation_makes_every_worker_of_the_tenant_due() {
    for expire_at in [None, Some(at(3500))] {
        let worker = hot("w", expire_at);
        let before = given("one", 0, expire_at);
        let mut seen = candidate(&worker, Some(&before));
        assert!(!is_due(seen));
        seen.current = Some("two");
        assert!(is_due(seen));
        seen.current = None;
        assert!(!is_due(seen), "there is nothing to give");
    }
}

#[test]
fn what_it_has_is_not_given_again() {
    let before = given("one", 0, Some(at(60)));
    assert!(has_it_already(Some(&before), "one", Some(at(60))));
    assert!(!has_it_already(Some(&before), "one", Some(at(90))));
    assert!(!has_it_already(Some(&before), "two", Some(at(60))));
    assert!(!has_it_already(None, "one", Some(at(60))));
}

#[test]
fn fruitless_tries_spread() {
    let first = Duration::from_secs(5);
    let pauses: Vec<u64> = (0..9).map(|tries| pause_after(tries, first).as_secs()).collect();
    assert_eq!(pauses, [5, 5, 10, 20, 40, 80, 160, 300, 300]);
    assert_eq!(pause_after(u32::MAX, first), Duration::from_mins(5));
}

proptest! {
    #[test]
    fn the_order_is_total_and_holds_no_strangers(ends in proptest::collection::vec(
        proptest::option::of(-100_i64..8000), 0..40,
    )) {
        let workers: Vec<Worker> = ends
            .iter()
            .enumerate()
            .map(|(number, end)| hot(&format!("u-{number}"), end.map(at)))
            .collect();
        let found = due(workers.iter().map(|worker| candidate(worker, None)), HOUR, at(0));
        let end_of = |uid: &&Uid| {
            let worker = workers.iter().find(|worker| worker.key.uid == **uid).unwrap();
            worker.status.credentials_expire_at
        };
        // None is less than every time, so "unknown first, then the soonest" is plain order.
        prop_assert!(found.is_sorted_by_key(end_of));
        let expected = ends.iter().filter(|end| end.is_none_or(|end| end < 1800)).count();
        prop_assert_eq!(found.len(), expected);
    }
}
