//! Claims that were given up while a worker was on its way to them: that worker is kept for a while,
//! as a parked one would be, for the next claim.
//!
//! They are kept in memory, as misses are. Whoever forgets them ends such a worker at once.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Seen, View, is_current};
use crate::names::Uid;
use crate::pool::Member;

/// The workers that are kept for the claims that were given up: at most one for each, and only those
/// that were on their way then.
pub fn kept<'a>(view: &View<'_>, seen: &Seen<'a>) -> BTreeSet<&'a Uid> {
    let (count, Some(first)) = recent(view) else { return BTreeSet::new() };
    let on_its_way = |member: &&Member| {
        let ready_since = member.idle_since.map_or(i64::MAX, Timestamp::as_second);
        member.is_warm() && is_current(view, member) && ready_since >= first
    };
    let mut late: Vec<&Member> = seen.of_the_pool(view).filter(on_its_way).collect();
    late.sort_by_key(|member| (member.created, &member.uid));
    late.into_iter()
        .rev()
        .take(usize::try_from(count).unwrap_or(usize::MAX))
        .map(|member| &member.uid)
        .collect()
}

/// When the first of them is kept no longer.
pub fn again(view: &View<'_>) -> Option<Duration> {
    let (_, first) = recent(view);
    let first = Timestamp::from_second(first?).ok()?;
    let ends = first.checked_add(view.pool.terms.hot_idle.ttl).ok()?;
    let left = Duration::try_from(ends.duration_since(view.now)).unwrap_or_default();
    Some(left + Duration::from_secs(1))
}

fn recent(view: &View<'_>) -> (u64, Option<i64>) {
    let ttl = SignedDuration::try_from(view.pool.terms.hot_idle.ttl).unwrap_or(SignedDuration::MAX);
    let then = view.now.checked_sub(ttl).unwrap_or(Timestamp::MIN);
    if ttl.is_zero() { (0, None) } else { view.misses.given_up.since(then) }
}
