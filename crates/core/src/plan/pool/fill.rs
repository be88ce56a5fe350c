//! How many more workers to start.

use std::time::Duration;

use super::backoff::{self, Gate};
use super::{Seen, View};

/// What may be started now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub starts: usize,
    /// When to ask again, if a pause is all that is in the way.
    pub again: Option<Duration>,
}

/// How many workers shall be warm, without those that a change of the template adds.
pub const fn target(view: &View<'_>) -> usize {
    view.pool.terms.replicas.saturating_add(view.demand)
}

/// How many more than the target there may be while the template changes.
pub fn surge(view: &View<'_>, seen: &Seen<'_>) -> usize {
    if seen.outdated(view) > 0 { view.pool.terms.max_surge } else { 0 }
}

/// How many are missing, whether or not they may be started.
pub fn missing(view: &View<'_>, seen: &Seen<'_>) -> usize {
    (target(view) + surge(view, seen)).saturating_sub(seen.warm())
}

/// How many may be started now: as many as are missing, within the maximum, so many at a time, and
/// one at a time after a failure.
pub fn budget(view: &View<'_>, seen: &Seen<'_>) -> Budget {
    let starting =
        seen.unmade.len() + seen.seated.iter().filter(|member| member.is_starting()).count();
    let wanted = missing(view, seen).min(seen.room(view));
    let at_once = |most: usize| wanted.min(most.saturating_sub(starting));
    if wanted == 0 {
        return Budget { starts: 0, again: None };
    }
    match backoff::gate(view) {
        Gate::Open => Budget { starts: at_once(view.pool.terms.max_starting), again: None },
        Gate::Probe(_) => Budget { starts: at_once(1), again: None },
        Gate::Closed(_, left) => Budget { starts: 0, again: Some(left) },
    }
}
