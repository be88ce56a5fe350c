//! How many more workers to start.

use std::time::Duration;

use super::backoff::{self, Gate};
use super::demand::Demand;
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
pub fn target(view: &View<'_>) -> usize {
    view.pool.terms.replicas.saturating_add(view.demand).saturating_add(lately(view).extra)
}

/// What the misses of late ask for.
pub fn lately(view: &View<'_>) -> Demand {
    view.misses.demand(&view.pool.terms.demand, view.now)
}

/// How many more than the target there may be while the template changes.
pub fn surge(view: &View<'_>, seen: &Seen<'_>) -> usize {
    if seen.outdated(view) > 0 { view.pool.terms.max_surge } else { 0 }
}

/// How many are missing, whether or not they may be started.
pub fn missing(view: &View<'_>, seen: &Seen<'_>) -> usize {
    (target(view) + surge(view, seen)).saturating_sub(seen.warm(view))
}

/// How many may be started now: as many as are missing, within the maximum, so many at a time, and
/// one at a time after a failure.
pub fn budget(view: &View<'_>, seen: &Seen<'_>) -> Budget {
    let starting =
        seen.unmade.len() + seen.seated.iter().filter(|member| member.is_starting()).count();
    // Claims that wait for a certain version go before warm workers that nobody waits for.
    let left = view.pool.terms.max_starting.saturating_sub(starting).min(seen.room(view));
    let for_pins = seen.pins.beyond(seen.unmade.len()).min(left);
    let pins_again = seen.pins.again;
    let wanted = missing(view, seen).min(left - for_pins);
    if wanted == 0 {
        return Budget { starts: for_pins, again: pins_again };
    }
    let (starts, again) = match backoff::gate(view) {
        Gate::Open => (wanted, None),
        Gate::Probe(_) => (wanted.min(1_usize.saturating_sub(starting)), None),
        Gate::Closed(_, left) => (0, Some(left)),
    };
    Budget { starts: for_pins + starts, again: [again, pins_again].into_iter().flatten().min() }
}
