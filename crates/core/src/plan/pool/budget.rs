//! Which pods of a pool are kept from eviction: what its `PodDisruptionBudget` selects.
//!
//! It changes with the pool's spec only, never with what its workers do. Where idle pods may be
//! evicted, the pods themselves say which those are (see [`crate::plan::worker`]).

use super::{Step, View};
use crate::pool::{Disruption, Pool};

/// Which pods a budget keeps from eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// All of the pool.
    Everyone,
    /// All but those that are marked idle: one without a mark is kept.
    AllButIdle,
}

/// What is known of a pool's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetStanding<'a> {
    /// Nothing yet.
    Unknown,
    /// There is none.
    Missing,
    /// It is there and keeps these.
    Keeps(Covers),
    /// It is there and says something else: somebody edited it.
    Edited,
    /// It could not be made, for this reason; it is tried again later.
    Refused(&'a str),
}

/// Which pods of this pool shall be kept from eviction.
pub const fn covers(pool: &Pool) -> Covers {
    match pool.terms.disruption {
        Disruption::Protect => Covers::Everyone,
        Disruption::AllowIdle => Covers::AllButIdle,
    }
}

/// Makes the budget what it shall be, if it is not.
pub(super) fn step(view: &View<'_>) -> Option<Step> {
    let wanted = covers(view.pool);
    let differs = match view.budget {
        BudgetStanding::Missing | BudgetStanding::Edited => true,
        BudgetStanding::Keeps(now) => now != wanted,
        BudgetStanding::Unknown | BudgetStanding::Refused(_) => false,
    };
    differs.then_some(Step::Guard(wanted))
}
