//! A pool's disruption budget, made and mended by its leader.

use duckworker_core::plan::pool::budget::{BudgetStanding as B, Covers};
use duckworker_core::plan::pool::{Step, View, next};
use duckworker_core::pool::{Disruption, Pool};
use duckworker_core::{WorkerState as S, conditions::ConditionStatus};

use crate::common::at;
use crate::ground::{condition, filled, view};

fn step_with(pool: &Pool, members: &[duckworker_core::pool::Member], budget: B<'_>) -> Step {
    next(&View { budget, ..view(pool, members, 9) })
}

#[test]
fn the_budget_is_what_the_spec_says() {
    let (mut pool, members) = filled(1, 5, &[S::Idle]);
    for (disruption, wanted, other) in [
        (Disruption::Protect, Covers::Everyone, Covers::AllButIdle),
        (Disruption::AllowIdle, Covers::AllButIdle, Covers::Everyone),
    ] {
        pool.terms.disruption = disruption;
        for differs in [B::Missing, B::Edited, B::Keeps(other)] {
            assert_eq!(step_with(&pool, &members, differs), Step::Guard(wanted), "{differs:?}");
        }
        for fine in [B::Unknown, B::Keeps(wanted), B::Refused("no right")] {
            let step = step_with(&pool, &members, fine);
            assert!(matches!(step, Step::Write(..)), "{fine:?}: {step:?}");
        }
    }
}

#[test]
fn a_pool_without_a_budget_says_so_and_works_on() {
    let (mut pool, members) = filled(2, 5, &[S::Idle]);
    let refused = B::Refused("poddisruptionbudgets is forbidden");
    loop {
        match step_with(&pool, &members, refused) {
            Step::Write(status, _) => pool.status = status,
            step => {
                assert!(matches!(step, Step::Create(_)), "{step:?}");
                break;
            }
        }
    }
    let degraded = condition(&pool, "Degraded");
    assert_eq!(degraded.status, ConditionStatus::True);
    assert_eq!(degraded.reason, "BudgetRefused");
    assert!(degraded.message.contains("not kept from eviction: poddisruptionbudgets is forbidden"));
}

#[test]
fn a_pool_that_goes_needs_no_budget() {
    let (mut pool, members) = filled(1, 5, &[S::Idle]);
    pool.deletion = Some(at(5));
    assert_eq!(step_with(&pool, &members, B::Missing), Step::Rest);
}
