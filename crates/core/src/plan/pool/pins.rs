//! Workers of other versions than the pool's, for tenants that are pinned to one. None is kept warm:
//! one is started when a claim waits that nobody of that version can serve.
//!
//! A pin stands in the place of the template's image, and changes nothing else. So a change of that
//! image alone leaves the workers of pinned tenants as they are; any other change replaces them as it
//! does all others.

use std::time::Duration;

use super::backoff::{self, Gate};
use super::{View, is_current};
use crate::names::Image;
use crate::pool::{Member, Ordinal};

/// A worker that is made for the claims of pinned tenants: nobody has it yet.
pub fn is_spare(view: &View<'_>, member: &Member) -> bool {
    let elsewhere = member.image != view.pool.terms.image;
    member.tenant.is_none() && elsewhere && view.pinned.contains_key(&member.image)
}

/// Whether a worker is as it should be: of the pool's present template, with its tenant's version in
/// it.
pub fn is_wanted(view: &View<'_>, member: &Member) -> bool {
    let terms = member.tenant.as_ref().and_then(|tenant| view.tenants.get(tenant));
    match terms.and_then(|terms| terms.image.as_ref()) {
        Some(pin) if *pin != view.pool.terms.image => {
            member.image == *pin && is_current_pin(view, member)
        }
        _ => is_current(view, member) || (is_spare(view, member) && is_current_pin(view, member)),
    }
}

/// Whether a worker of another version than the pool's is what would be made for it now.
fn is_current_pin(view: &View<'_>, member: &Member) -> bool {
    view.pins.get(&member.image).is_some_and(|made| member.template.as_ref() == Some(made))
}

/// What pinned tenants want of a pool, reckoned once a look.
#[derive(Debug, Default)]
pub struct Wanted {
    /// The versions of which one more worker each may be started now. One that does not start is
    /// paced by itself, and holds up no other.
    due: Vec<Image>,
    /// When a version that failed may be tried again.
    pub again: Option<Duration>,
}

impl Wanted {
    /// Of these workers with numbers.
    pub fn of(view: &View<'_>, seated: &[&Member]) -> Self {
        let mut wanted = Self::default();
        for (image, waiting) in view.pinned {
            let of_it = || seated.iter().filter(|m| m.is_warm() && m.image == *image);
            let lacking = waiting.saturating_sub(of_it().count());
            if lacking == 0 {
                continue;
            }
            let of_now = |member: &Member| member.image == *image && is_current_pin(view, member);
            let may = match backoff::gate_of(view, of_now) {
                Gate::Open => lacking,
                Gate::Probe(_) if of_it().any(|member| member.is_starting()) => 0,
                Gate::Probe(_) => 1,
                Gate::Closed(_, left) => {
                    wanted.again = wanted.again.into_iter().chain([left]).min();
                    0
                }
            };
            wanted.due.extend(std::iter::repeat_n(image.clone(), may));
        }
        wanted
    }

    /// Numbers that are given and have no worker yet, each with the version that it is for: none for
    /// the pool's own.
    pub fn assign(&self, unmade: &[Ordinal]) -> Vec<(Ordinal, Option<Image>)> {
        let pins = self.due.iter().cloned().map(Some).chain(std::iter::repeat(None));
        unmade.iter().copied().zip(pins).collect()
    }

    /// How many numbers of so many that have no worker yet are for pinned tenants.
    pub fn among(&self, unmade: usize) -> usize {
        self.due.len().min(unmade)
    }

    /// How many more numbers are wanted than those.
    pub fn beyond(&self, unmade: usize) -> usize {
        self.due.len().saturating_sub(unmade)
    }
}
