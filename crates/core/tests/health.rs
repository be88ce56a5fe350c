//! What follows from health checks.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{owner, worker};
use duckworker_core::names::Uid;
use duckworker_core::plan::health::{
    Disposition, Finding, Pulse, Verdict, disposition, is_checked,
};
use duckworker_core::{Epoch, LeaseFence, Reason, WorkerState as S};
use proptest::prelude::*;

fn epoch(number: i64) -> Epoch {
    Epoch::new(number).unwrap()
}

fn after(findings: &[Finding]) -> Verdict {
    let mut pulse = Pulse::default();
    let mut verdict = Verdict::Fine;
    for finding in findings {
        (pulse, verdict) = pulse.after(*finding, epoch(7), 3);
    }
    verdict
}

#[test]
fn three_failures_in_a_row_make_a_worker_lost() {
    use Finding::{Failed, Healthy, Unclear};
    assert_eq!(after(&[Failed, Failed]), Verdict::Fine);
    assert_eq!(after(&[Failed, Failed, Failed]), Verdict::Lost(Reason::Unhealthy));
    assert_eq!(after(&[Failed, Failed, Healthy, Failed, Failed]), Verdict::Fine);
    // What could not be found out neither counts nor absolves.
    assert_eq!(after(&[Failed, Unclear, Failed, Unclear]), Verdict::Fine);
    assert_eq!(after(&[Failed, Unclear, Failed, Failed]), Verdict::Lost(Reason::Unhealthy));
}

#[test]
fn a_worker_that_calls_itself_broken_is_lost_at_once() {
    assert_eq!(after(&[Finding::Broken]), Verdict::Lost(Reason::Broken));
    assert_eq!(after(&[Finding::Healthy, Finding::Broken]), Verdict::Lost(Reason::Broken));
}

#[test]
fn a_worker_that_says_that_it_stops_is_drained_at_once() {
    assert_eq!(after(&[Finding::Stopping]), Verdict::Drain(Reason::PodDeleted));
}

#[test]
fn a_new_lease_starts_the_count_again() {
    let (pulse, _) = Pulse::default().after(Finding::Failed, epoch(7), 3);
    let (pulse, _) = pulse.after(Finding::Failed, epoch(7), 3);
    let (pulse, verdict) = pulse.after(Finding::Failed, epoch(8), 3);
    assert_eq!((pulse.failures(), verdict), (1, Verdict::Fine));
}

#[test]
fn only_those_that_serve_are_checked() {
    for state in S::ALL {
        let serves = matches!(state, S::Idle | S::Reserved | S::Activating | S::Hot | S::HotIdle);
        assert_eq!(is_checked(&worker(state)), serves, "{state}");
    }
}

#[test]
fn a_miss_is_classified_by_what_stands_there_now() {
    let me = LeaseFence { key: worker(S::Hot).key, owner: owner("me"), epoch: epoch(7) };
    let mut others = worker(S::Hot);
    others.status.ownership.as_mut().unwrap().owner = owner("another");
    assert_eq!(disposition(&me, Some(&others)), Disposition::Stale);
    assert_eq!(disposition(&me, None), Disposition::Stale);
    let mut namesake = worker(S::Hot);
    namesake.key.uid = Uid::new("another").unwrap();
    assert_eq!(disposition(&me, Some(&namesake)), Disposition::Stale);
    let mut newer = worker(S::Hot);
    newer.status.ownership.as_mut().unwrap().epoch = epoch(8);
    assert_eq!(disposition(&me, Some(&newer)), Disposition::Again);
    for (state, expected) in [
        (S::Lost, Disposition::Ended),
        (S::Draining, Disposition::Ended),
        (S::Retired, Disposition::Stale),
        (S::HotIdle, Disposition::Again),
    ] {
        assert_eq!(disposition(&me, Some(&worker(state))), expected, "{state}");
    }
}

proptest! {
    #[test]
    fn a_worker_is_lost_by_failures_of_one_lease_only(
        checks in proptest::collection::vec((0..3_i64, any::<bool>()), 0..60),
        threshold in 1..5_u32,
    ) {
        let mut pulse = Pulse::default();
        let mut row: (i64, u32) = (-1, 0);
        for (number, fails) in checks {
            let finding = if fails { Finding::Failed } else { Finding::Healthy };
            let (next, verdict) = pulse.after(finding, epoch(number), threshold);
            pulse = next;
            row = match (fails, row.0 == number) {
                (false, _) => (number, 0),
                (true, true) => (number, row.1 + 1),
                (true, false) => (number, 1),
            };
            prop_assert_eq!(matches!(verdict, Verdict::Lost(_)), row.1 >= threshold);
        }
    }
}
