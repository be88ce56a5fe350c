//! Which workers to end: those of an older template as far as the idle ones suffice, then those
//! that are too many. Never one that serves somebody.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Seen, View, fill, given_up, is_current, is_outdated};
use crate::names::{Tenant, Uid};
use crate::planted::{Bug, planted};
use crate::pool::Member;
use crate::reason::Reason;
use crate::state::WorkerState;

/// Those to retire, and those to delete since nobody ever took them.
pub fn choose(view: &View<'_>, seen: &Seen<'_>) -> (Vec<(Uid, Reason)>, Vec<Uid>) {
    let mut chosen = outdated(view, seen);
    chosen.extend(displaced(view, seen));
    let kept = given_up::kept(view, seen);
    let excess = (seen.warm(view) - warm_among(&chosen))
        .saturating_sub(fill::target(view) + fill::surge(view, seen) + kept.len());
    let surplus: Vec<_> = surplus(view, seen)
        .into_iter()
        .filter(|member| !kept.contains(&member.uid))
        .filter(|member| !chosen.iter().any(|(other, _)| other.uid == member.uid))
        .take(excess)
        .map(|member| (member, Reason::ScaledDown))
        .collect();
    chosen.extend(surplus);
    let (untaken, taken): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|(member, _)| member.state == WorkerState::Pending);
    let retired = taken.into_iter().map(|(member, reason)| (member.uid.clone(), reason));
    (retired.collect(), untaken.into_iter().map(|(member, _)| member.uid.clone()).collect())
}

fn warm_among(chosen: &[(&Member, Reason)]) -> usize {
    chosen.iter().filter(|(member, _)| member.is_warm()).count()
}

/// Workers of an older template. Those that nobody could claim yet, and parked ones, go at once;
/// idle ones only while enough others stand ready.
fn outdated<'a>(view: &View<'_>, seen: &Seen<'a>) -> Vec<(&'a Member, Reason)> {
    let old = || seen.seated.iter().copied().filter(|member| is_outdated(view, member));
    let free = old().filter(|member| {
        member.is_starting() || (member.state == WorkerState::HotIdle && !member.deleting)
    });
    let mut idle: Vec<&Member> = old().filter(|member| member.is_ready()).collect();
    idle.sort_by_key(|member| (member.idle_since, &member.uid));
    let spare = seen.ready(view).saturating_sub(floor(view, seen));
    free.chain(idle.into_iter().take(spare)).map(|member| (member, Reason::OutOfDate)).collect()
}

/// Parked workers that stand in the way: the pool is full, claims wait, and none of these is of a
/// tenant that waits. Longest parked first, and each tenant keeps its floor.
fn displaced<'a>(view: &View<'_>, seen: &Seen<'a>) -> Vec<(&'a Member, Reason)> {
    let missing = view.demand.saturating_sub(seen.warm(view)) + seen.pins.beyond(seen.unmade.len());
    if missing == 0 || seen.room(view) > 0 {
        return Vec::new();
    }
    let going = seen.seated.iter().filter(|m| m.state == WorkerState::Draining).count();
    let mut parked: Vec<&Member> = seen
        .seated
        .iter()
        .copied()
        .filter(|member| member.state == WorkerState::HotIdle && !member.deleting)
        .filter(|member| !is_outdated(view, member))
        .filter(|member| member.tenant.as_ref().is_some_and(|t| !view.awaited.contains(t)))
        .collect();
    parked.sort_by_key(|member| (Reverse(member.idle_since), &member.uid));
    let pool = &view.pool.terms.hot_idle;
    let floor = |tenant: &Tenant| {
        let own = view.tenants.get(tenant).map(|terms| terms.hot_idle.over(pool));
        own.map_or(pool.min_per_tenant, |own| own.min_per_tenant)
    };
    let mut kept: BTreeMap<&Tenant, usize> = BTreeMap::new();
    parked.retain(|member| {
        let Some(tenant) = &member.tenant else { return false };
        let kept = kept.entry(tenant).or_default();
        *kept += 1;
        *kept > floor(tenant)
    });
    let displaced = parked.into_iter().rev().take(missing.saturating_sub(going));
    displaced.map(|member| (member, Reason::Displaced)).collect()
}

/// How many idle ones a change of the template leaves. Where the maximum leaves no room for a new
/// one beside the old, one more goes: else the change would never come to an end.
fn floor(view: &View<'_>, seen: &Seen<'_>) -> usize {
    let terms = &view.pool.terms;
    let starting = seen.unmade.len() + seen.seated.iter().filter(|m| m.is_starting()).count();
    let stuck = seen.room(view) == 0 && starting == 0;
    let unavailable = if stuck { terms.max_unavailable.max(1) } else { terms.max_unavailable };
    terms.replicas.saturating_sub(unavailable)
}

/// Those that could go, first the one that goes first: out of date, then not yet idle, then idle
/// for longest.
fn surplus<'a>(view: &View<'_>, seen: &Seen<'a>) -> Vec<&'a Member> {
    let mut warm: Vec<&Member> = seen.of_the_pool(view).filter(|member| may_go(member)).collect();
    let age = |member: &Member| -> (bool, Option<Timestamp>, Reverse<Timestamp>) {
        (member.is_ready(), member.idle_since, Reverse(member.created))
    };
    warm.sort_by_key(|member| (is_current(view, member), age(member), member.uid.clone()));
    warm
}

fn may_go(member: &Member) -> bool {
    let serves = member.state == WorkerState::Hot && planted(Bug::BusyScaledDown);
    member.is_warm() || serves
}
