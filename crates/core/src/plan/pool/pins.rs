//! Workers of other versions than the pool's, for tenants that are pinned to one. None is kept warm:
//! one is started when a claim waits that nobody of that version can serve.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backoff::{self, Gate};
use super::{Seen, View, is_current};
use crate::names::Image;
use crate::pool::{Member, Ordinal};

/// A worker that is made for the claims of pinned tenants: nobody has it yet.
pub fn is_spare(view: &View<'_>, member: &Member) -> bool {
    let elsewhere = member.image != view.pool.terms.image;
    member.tenant.is_none() && elsewhere && view.pinned.contains_key(&member.image)
}

/// Whether a worker is as it should be: its tenant's version, or the pool's present template.
pub fn is_wanted(view: &View<'_>, member: &Member) -> bool {
    let terms = member.tenant.as_ref().and_then(|tenant| view.tenants.get(tenant));
    match terms.and_then(|terms| terms.image.as_ref()) {
        Some(pin) if *pin != view.pool.terms.image => member.image == *pin,
        _ => is_current(view, member) || is_spare(view, member),
    }
}

/// The versions of which one more worker each is wanted, numbers without a worker left aside.
fn lacking(view: &View<'_>, seen: &Seen<'_>) -> Vec<Image> {
    let mut there: BTreeMap<&Image, usize> = BTreeMap::new();
    for member in seen.seated.iter().filter(|member| member.is_warm()) {
        *there.entry(&member.image).or_default() += 1;
    }
    let lacks = |(image, wanted): (&Image, &usize)| {
        let lacking = wanted.saturating_sub(there.get(image).copied().unwrap_or(0));
        std::iter::repeat_n(image.clone(), lacking)
    };
    view.pinned.iter().flat_map(lacks).collect()
}

/// Those of them that may be started now. A version that does not start is paced by itself, and holds
/// up no other.
fn due(view: &View<'_>, seen: &Seen<'_>) -> Vec<Image> {
    let starts = |image: &Image| {
        seen.seated.iter().any(|member| member.is_starting() && member.image == *image)
    };
    let mut due: Vec<Image> = Vec::new();
    for image in lacking(view, seen) {
        let may = match gate(view, &image) {
            Gate::Open => true,
            Gate::Probe(_) => !starts(&image) && !due.contains(&image),
            Gate::Closed(..) => false,
        };
        if may {
            due.push(image);
        }
    }
    due
}

/// The numbers that are given and have no worker yet, each with the version that it is for: none
/// for the pool's own.
pub fn assigned(view: &View<'_>, seen: &Seen<'_>) -> Vec<(Ordinal, Option<Image>)> {
    let pins = due(view, seen).into_iter().map(Some).chain(std::iter::repeat(None));
    seen.unmade.iter().copied().zip(pins).collect()
}

/// How many numbers that have no worker yet are for pinned tenants.
pub fn unmade(view: &View<'_>, seen: &Seen<'_>) -> usize {
    due(view, seen).len().min(seen.unmade.len())
}

/// How many more numbers are wanted for pinned tenants.
pub fn missing(view: &View<'_>, seen: &Seen<'_>) -> usize {
    due(view, seen).len().saturating_sub(seen.unmade.len())
}

/// When a version that failed may be tried again.
pub fn again(view: &View<'_>, seen: &Seen<'_>) -> Option<Duration> {
    let left = |image: &Image| match gate(view, image) {
        Gate::Closed(_, left) => Some(left),
        Gate::Open | Gate::Probe(_) => None,
    };
    lacking(view, seen).iter().filter_map(left).min()
}

fn gate(view: &View<'_>, image: &Image) -> Gate {
    backoff::gate_of(view, |member| member.image == *image && !is_current(view, member))
}
