//! S19: an instance is marked expired only when its Lease stood still, by somebody whose own Lease
//! did not, or when its pod runs a later one; and that never reverts. S20: who is marked writes nothing any more.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use duckworker_core::OwnerStanding;
use jiff::Timestamp;

use crate::check::{Report, Rule, Step};
use crate::line::{Change, LEASES};
use crate::seen::{holder, instance_state, is_by};
use crate::world::elapsed;

/// When each instance renewed lately, by its identity.
#[derive(Debug, Default)]
pub struct Instances(BTreeMap<String, VecDeque<Timestamp>>);

/// So many renewals cover more than the time until an expiry.
const REMEMBERED: usize = 64;

impl Rule for Instances {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        ghost(step, report);
        let version = step.version;
        if version.collection != LEASES {
            return;
        }
        let Some(state) = instance_state(&version.object) else { return };
        let before = step.world.object(LEASES, step.uid());
        let was = before.and_then(|before| instance_state(&before.value));
        if version.change == Change::Updated {
            let back = match was {
                Some(OwnerStanding::Expired) => state != OwnerStanding::Expired,
                Some(OwnerStanding::Draining) => state == OwnerStanding::Live,
                _ => false,
            };
            if back {
                step.breaks(report, "S19", format!("from {was:?} back to {state:?}"));
            }
        }
        let marked =
            was.is_some_and(|was| was != OwnerStanding::Expired) && state == OwnerStanding::Expired;
        if let Some(before) = before.filter(|_| marked) {
            self.marked(step, before.at, was == Some(OwnerStanding::Draining), report);
        } else if let Some(holder) = holder(&version.object) {
            let renewals = self.0.entry(holder.to_owned()).or_default();
            renewals.push_back(step.at());
            if renewals.len() > REMEMBERED {
                renewals.pop_front();
            }
        }
    }
}

impl Instances {
    fn marked(&self, step: &Step<'_>, stood_since: Timestamp, drained: bool, report: &mut Report) {
        let stood = elapsed(stood_since, step.at());
        if has_successor(step) {
            return;
        }
        // Clocks may run apart by a quarter; and one that drains for too long is due as it is.
        if !drained && stood < step.settings.expire * 3 / 4 {
            step.breaks(report, "S19", format!("marked expired after {stood:?}"));
        }
        let author = step.version.by.as_deref();
        let is_markers = |owner: &&String| is_by(author, owner) == Some(true);
        // A pod's newest incarnation comes last: earlier ones are dead.
        let own = self.0.iter().filter(|(owner, _)| is_markers(owner));
        let Some(renewals) = own.map(|(_, times)| times).max_by_key(|times| times.back().copied())
        else {
            return;
        };
        let gap = longest_gap(renewals, step.at(), step.settings.expire);
        let limit = step.settings.renew * 3;
        if gap > limit && !drained {
            let what = format!("marked expired by one that had not renewed itself for {gap:?}");
            step.breaks(report, "S19", what);
        }
    }
}

/// A later incarnation of the same pod has begun: a pod runs one at a time, so this one is dead, and
/// nobody need wait until that is seen.
fn has_successor(step: &Step<'_>) -> bool {
    let Some(dead) = holder(&step.version.object) else { return false };
    let Some(pod) = pod_of(dead) else { return false };
    let Some(lease) = step.world.object(LEASES, step.uid()) else { return false };
    step.world.all(LEASES).any(|(_, other)| {
        instance_state(&other.value).is_some()
            && other.created.0 > lease.created.0
            && holder(&other.value).and_then(pod_of) == Some(pod)
    })
}

/// The pod of an identity, `<pod>.<first 8 of its uid>`. None: it is no pod's.
fn pod_of(owner: &str) -> Option<&str> {
    let (pod, _) = owner.rsplit_once('.')?;
    (!owner.starts_with("user:") && pod.contains('.')).then_some(pod)
}

/// The longest time without a renewal that reaches into the last `window`. One that has only just
/// begun has seen nothing for so long, and is asked by the first half of the rule.
fn longest_gap(renewals: &VecDeque<Timestamp>, now: Timestamp, window: Duration) -> Duration {
    let ends = renewals.iter().copied().skip(1).chain([now]);
    let gaps = renewals.iter().copied().zip(ends);
    let recent = gaps.filter(|(_, end)| elapsed(*end, now) <= window);
    recent.map(|(start, end)| elapsed(start, end)).max().unwrap_or(Duration::ZERO)
}

/// S20. A write that was held on its way may still land a little later.
fn ghost(step: &Step<'_>, report: &mut Report) {
    let Some((old, new)) = step.worker else { return };
    let record = new.newest.as_ref().filter(|_| old.newest != new.newest);
    let Some(author) = record.map(|record| record.by.as_str()) else { return };
    if step.world.standing(author) != OwnerStanding::Expired {
        return;
    }
    let Some(lease) = step.world.lease_of(author) else { return };
    let dead_for = elapsed(lease.at, step.at());
    if dead_for > step.settings.late {
        step.breaks(report, "S20", format!("written by {author}, which is dead for {dead_for:?}"));
    }
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn the_dead_stay_dead() {
        let mut story = Story::new();
        story.lease("a", "expired");
        story.lease("a", "active");
        story.broke("S19");
    }

    #[test]
    fn a_lease_that_moves_is_not_marked() {
        let mut story = Story::new();
        story.lease("a", "active");
        story.pass(3);
        story.lease("a", "expired");
        story.broke("S19");
    }

    #[test]
    fn a_pod_that_runs_a_later_one_is_not_waited_for() {
        let mut story = Story::new();
        story.lease("a.1.x", "active");
        story.pass(3);
        story.lease("a.1.y", "active");
        story.lease("a.1.x", "expired");
        story.kept("S19");
        // Not of another pod, and not the later one.
        story.lease("b.1.x", "active");
        story.lease("a.1.y", "expired");
        story.broke("S19");
    }

    #[test]
    fn an_outage_expires_nobody() {
        let mut story = Story::new();
        story.lease("a.1.x", "active");
        story.lease("b.2.x", "active");
        story.pass(40);
        story.lease("b.2.x", "active");
        story.author("sa/b.2");
        story.lease("a.1.x", "expired");
        story.broke("S19");
    }

    #[test]
    fn the_dead_do_not_write() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.lease("a", "expired");
        story.pass(60);
        story.worker("w").by("a", "ready").owned("a", 1, "Idle");
        story.broke("S20");
    }
}
