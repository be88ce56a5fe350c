//! When to try again after starts that failed. It is told by the failed workers themselves, which
//! stay readable for a while: so it survives a change of leader, and a mended template, of which
//! there are no failures, starts at once.

use std::time::Duration;

use jiff::Timestamp;

use super::{View, is_current};
use crate::decide::elapsed;
use crate::pool::Member;
use crate::reason::Reason;

/// What the failures of the present template say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// There are none since one last went well.
    Open,
    /// The pause is over: one may try.
    Probe(Failing),
    /// Nothing is started for so long.
    Closed(Failing, Duration),
}

/// Starts that failed in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// Why the last one did.
    pub reason: Reason,
    /// How many rounds of starts failed; those that were under way together are one.
    pub rounds: u32,
}

impl Gate {
    /// What fails, if something does.
    pub const fn failing(&self) -> Option<Failing> {
        match self {
            Self::Open => None,
            Self::Probe(failing) | Self::Closed(failing, _) => Some(*failing),
        }
    }
}

/// Judges the workers of the present template.
pub fn gate(view: &View<'_>) -> Gate {
    gate_of(view, |member| is_current(view, member))
}

/// Judges these workers.
pub fn gate_of(view: &View<'_>, counts: impl Fn(&Member) -> bool) -> Gate {
    let current = || view.members.iter().filter(|member| counts(member));
    let went_well = current()
        .filter(|member| !member.state.is_terminal() && !member.is_starting())
        .map(|member| member.since)
        .max();
    let mut failures: Vec<(&Member, Reason)> = current()
        .filter_map(|member| Some((member, member.failed_start()?)))
        .filter(|(member, _)| went_well.is_none_or(|well| member.since > well))
        .collect();
    failures.sort_by_key(|(member, _)| member.since);
    let Some(&(last, reason)) = failures.last() else { return Gate::Open };
    let failing = Failing { reason, rounds: rounds(&failures, reason) };
    let pause = pause(view, failing);
    let left = pause.saturating_sub(elapsed(last.since, view.now));
    if left.is_zero() { Gate::Probe(failing) } else { Gate::Closed(failing, left) }
}

/// Those of one class that were under way together count once.
fn rounds(failures: &[(&Member, Reason)], reason: Reason) -> u32 {
    let mut ended: Option<Timestamp> = None;
    let mut rounds = 0_u32;
    for (member, _) in failures.iter().filter(|(_, class)| *class == reason) {
        if ended.is_none_or(|ended| member.created > ended) {
            rounds = rounds.saturating_add(1);
        }
        ended = ended.max(Some(member.since));
    }
    rounds
}

/// Twice as long with each round. What the cluster may mend by itself is tried again sooner.
fn pause(view: &View<'_>, failing: Failing) -> Duration {
    let terms = &view.pool.terms;
    let mends_itself = matches!(failing.reason, Reason::Unschedulable | Reason::QuotaExceeded);
    let most = if mends_itself { terms.longest_pause / 4 } else { terms.longest_pause };
    let doubled = terms.first_pause.saturating_mul(1 << failing.rounds.saturating_sub(1).min(16));
    doubled.min(most.max(terms.first_pause))
}
