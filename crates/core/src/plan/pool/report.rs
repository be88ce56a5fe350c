//! What the status of a pool says.

use std::time::Duration;

use jiff::Timestamp;
use strum::{Display, IntoStaticStr};

use super::backoff::{self, Gate};
use super::budget::BudgetStanding;
use super::{Seen, View, fill, is_current};
use crate::conditions::{self, Condition, ConditionStatus};
use crate::decide::elapsed;
use crate::plan::observed::Trouble;
use crate::pool::{Counts, PoolStatus, Seats};

/// The types of condition of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, IntoStaticStr)]
pub enum PoolCondition {
    /// It is as its spec wants it (kstatus: Current).
    Ready,
    /// Enough idle workers stand ready.
    Available,
    /// It is at work: workers start, or are replaced.
    Progressing,
    /// Workers cannot be started, and why.
    Degraded,
    /// It makes no progress and will not by waiting (kstatus: Failed).
    Stalled,
}

/// The status, with these seats.
pub fn status(view: &View<'_>, seen: &Seen<'_>, seats: Seats) -> PoolStatus {
    let counts = counts(view, seen, &seats);
    PoolStatus {
        observed_generation: Some(view.pool.generation),
        seats,
        counts,
        conditions: conditions(view, seen),
    }
}

fn counts(view: &View<'_>, seen: &Seen<'_>, seats: &Seats) -> Counts {
    let unmade = seats.taken.values().filter(|uid| uid.is_none()).count();
    let mut counts = Counts { pending: unmade, ..Counts::default() };
    for member in &seen.seated {
        if member.deleting && member.is_warm() {
            continue;
        }
        counts.add(member.state);
        if member.is_ready() && is_current(view, member) {
            counts.updated += 1;
        }
    }
    counts
}

/// One thing that a pool says: whether it holds, a word and a sentence.
struct Said {
    kind: PoolCondition,
    holds: ConditionStatus,
    reason: String,
    message: String,
}

impl Said {
    fn new(kind: PoolCondition, holds: ConditionStatus, reason: &str, message: String) -> Self {
        Self { kind, holds, reason: reason.to_owned(), message }
    }
}

fn conditions(view: &View<'_>, seen: &Seen<'_>) -> Vec<Condition> {
    let mut all = view.pool.status.conditions.clone();
    let standing = standing(view, seen);
    let mut said = vec![
        ready(view, seen),
        available(view, seen),
        progressing(view, seen, &standing),
        degraded(view),
    ];
    if let Standing::StandsStill(why) = standing {
        said.push(Said::new(PoolCondition::Stalled, ConditionStatus::True, STALLED, why));
    } else {
        let stalled: &str = PoolCondition::Stalled.into();
        all.retain(|condition| condition.kind != stalled);
    }
    for Said { kind, holds, reason, message } in said {
        let new = Condition {
            kind: kind.to_string(),
            status: holds,
            reason,
            message,
            observed_generation: Some(view.pool.generation),
            since: view.now,
        };
        let unchanged = all.iter().any(|old| {
            old.says_the_same(&new) && old.observed_generation == new.observed_generation
        });
        if !unchanged {
            conditions::set(&mut all, new);
        }
    }
    all
}

/// Fewest idle ones that count as available.
fn floor(view: &View<'_>) -> usize {
    let terms = &view.pool.terms;
    terms.replicas.saturating_sub(terms.max_unavailable)
}

/// Fewest idle ones with which it is as its spec wants it: where all of them may be unavailable, it
/// is not settled before the first one stands.
fn wanted(view: &View<'_>) -> usize {
    floor(view).max(view.pool.terms.replicas.min(1))
}

/// No worker may be started though some are missing: the maximum is reached.
fn is_full(view: &View<'_>, seen: &Seen<'_>) -> bool {
    fill::missing(view, seen) + seen.pins.beyond(seen.unmade.len()) > 0 && seen.room(view) == 0
}

fn ready(view: &View<'_>, seen: &Seen<'_>) -> Said {
    use ConditionStatus as C;
    let kind = PoolCondition::Ready;
    if seen.outdated(view) > 0 {
        let message = "workers of an older template are being replaced".to_owned();
        Said::new(kind, C::False, "RollingOut", message)
    } else if seen.ready(view) >= wanted(view) {
        Said::new(kind, C::True, "AsWanted", "idle workers stand ready".to_owned())
    } else if is_full(view, seen) {
        Said::new(kind, C::True, "PoolAtMax", at_max(view))
    } else {
        Said::new(kind, C::False, "Filling", "workers are being started".to_owned())
    }
}

fn at_max(view: &View<'_>) -> String {
    format!(
        "all {} workers that spec.maxWorkers allows are in use; raise it, or claims wait",
        view.pool.terms.max_workers
    )
}

fn available(view: &View<'_>, seen: &Seen<'_>) -> Said {
    use ConditionStatus as C;
    let kind = PoolCondition::Available;
    let (floor, wanted) = (floor(view), view.pool.terms.replicas);
    if seen.ready(view) >= floor {
        let message = format!("at least {floor} of {wanted} idle workers stand ready");
        Said::new(kind, C::True, "WorkersReady", message)
    } else if is_full(view, seen) {
        Said::new(kind, C::False, "PoolAtMax", at_max(view))
    } else {
        let message = format!("fewer than {floor} idle workers stand ready");
        Said::new(kind, C::False, "TooFewReady", message)
    }
}

/// Whether a pool gets on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// There is nothing to do.
    Done,
    /// It does.
    GetsOn,
    /// It does not, for longer than its deadline.
    StandsStill(String),
}

/// Whether there is work that a person would wait for.
fn has_work(view: &View<'_>, seen: &Seen<'_>) -> bool {
    seen.outdated(view) > 0 || (seen.ready(view) < wanted(view) && !is_full(view, seen))
}

fn standing(view: &View<'_>, seen: &Seen<'_>) -> Standing {
    if !has_work(view, seen) {
        return Standing::Done;
    }
    if remaining(view, seen).is_some() {
        return Standing::GetsOn;
    }
    let limit = view.pool.terms.progress_deadline.as_secs();
    let why = trouble(view).map_or_else(
        || "no worker became idle".to_owned(),
        |trouble| format!("{}: {}", trouble.reason, trouble.message),
    );
    Standing::StandsStill(format!("no progress for {limit} s; {why}"))
}

/// What is left of the deadline; `None` when it is over. Once it is, only a success or another
/// spec sets it going again.
fn remaining(view: &View<'_>, seen: &Seen<'_>) -> Option<Duration> {
    let success = last_success(view, seen);
    let since = match progress_known(view) {
        Some(known) if known.reason == STALLED => success.filter(|time| *time > known.since)?,
        Some(known) if known.status == ConditionStatus::True => {
            success.map_or(known.since, |time| time.max(known.since))
        }
        _ => view.now,
    };
    let left = view.pool.terms.progress_deadline.saturating_sub(elapsed(since, view.now));
    (!left.is_zero()).then_some(left)
}

/// What the status says of the progress on the present spec.
fn progress_known<'a>(view: &View<'a>) -> Option<&'a Condition> {
    let kind: &str = PoolCondition::Progressing.into();
    let known = view.pool.status.conditions.iter().find(|condition| condition.kind == kind)?;
    (known.observed_generation == Some(view.pool.generation)).then_some(known)
}

const STALLED: &str = "ProgressDeadlineExceeded";

/// When a worker of the present template last became idle.
fn last_success(view: &View<'_>, seen: &Seen<'_>) -> Option<Timestamp> {
    let current = seen.seated.iter().filter(|member| is_current(view, member));
    current.filter(|member| member.is_ready()).map(|member| member.since).max()
}

/// When the deadline is over, if something is at work.
pub fn deadline_left(view: &View<'_>, seen: &Seen<'_>) -> Option<Duration> {
    if has_work(view, seen) { remaining(view, seen) } else { None }
}

fn progressing(view: &View<'_>, seen: &Seen<'_>, standing: &Standing) -> Said {
    use ConditionStatus as C;
    let kind = PoolCondition::Progressing;
    match standing {
        Standing::StandsStill(why) => Said::new(kind, C::False, STALLED, why.clone()),
        Standing::Done => Said::new(kind, C::False, "Complete", "nothing is to be done".to_owned()),
        Standing::GetsOn if seen.outdated(view) > 0 => {
            let message = "workers of an older template are being replaced".to_owned();
            Said::new(kind, C::True, "RollingOut", message)
        }
        Standing::GetsOn => {
            Said::new(kind, C::True, "Filling", "workers are being started".to_owned())
        }
    }
}

/// What is in the way of the newest workers: of one that starts, or of those that failed lately.
fn trouble(view: &View<'_>) -> Option<Trouble> {
    let blocked = view
        .members
        .iter()
        .filter(|member| member.is_starting() && is_current(view, member))
        .find_map(|member| member.trouble.clone());
    let failed = || {
        let failing = backoff::gate(view).failing()?;
        let failed = view.members.iter().filter(|member| is_current(view, member));
        failed
            .filter(|member| member.failed_start() == Some(failing.reason))
            .max_by_key(|member| member.since)
            .and_then(|member| member.trouble.clone())
    };
    blocked.or_else(failed)
}

fn degraded(view: &View<'_>) -> Said {
    use ConditionStatus as C;
    let kind = PoolCondition::Degraded;
    if let Some(refusal) = view.refusal {
        return Said::new(kind, C::True, "WorkerRefused", refusal.to_owned());
    }
    if let BudgetStanding::Refused(why) = view.budget {
        let message = format!("its pods are not kept from eviction: {why}");
        return Said::new(kind, C::True, "BudgetRefused", message);
    }
    let Some(trouble) = trouble(view) else {
        let message = "no worker failed to start lately".to_owned();
        return Said::new(kind, C::False, "WorkersStart", message);
    };
    let pauses = match backoff::gate(view) {
        Gate::Closed(failing, _) | Gate::Probe(failing) if failing.rounds > 0 => {
            "; the next is tried after a pause"
        }
        _ => "",
    };
    let message = format!("{}{pauses}", trouble.message);
    Said::new(kind, C::True, &trouble.reason.to_string(), message)
}
