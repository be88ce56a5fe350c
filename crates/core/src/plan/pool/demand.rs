//! Misses: claims that found no worker. Those of late raise the number of workers that are kept
//! warm, and count for less the older they are.
//!
//! They are kept in memory, fed by what claims say of themselves. Every instance watches claims, so
//! whoever comes to lead knows them; when all have been started anew, the pool begins at `replicas`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::claim::Claim;
use crate::conditions::ConditionStatus;

/// How many steps a miss takes from counting whole to counting for nothing.
const STEPS: u32 = 10;
/// The longest window that a spec may ask for: what is older is forgotten.
pub const LONGEST: Duration = Duration::from_hours(1);
/// What a claim says that found no worker, although the pool could have had one ready.
pub const POOL_EMPTY: &str = "PoolEmpty";

/// When a claim found no worker, if that is what it waits for.
pub fn missed(claim: &Claim) -> Option<Timestamp> {
    let mut conditions = claim.status.conditions.iter();
    let ready = conditions.find(|condition| condition.kind == "Ready")?;
    let missed = ready.status == ConditionStatus::False && ready.reason == POOL_EMPTY;
    (claim.waits() && missed).then_some(ready.since)
}

/// How claims that found no worker raise the number of warm ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemandTerms {
    /// How long a miss counts, for less from step to step.
    pub window: Duration,
    /// How many more than `replicas` are kept warm at most; none turns it off.
    pub max_extra: usize,
}

/// The misses of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Misses {
    all: BySecond,
    /// Those whose claim was given up.
    pub given_up: BySecond,
}

/// How many there were in each second, as far back as anybody asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BySecond(BTreeMap<i64, u64>);

impl BySecond {
    /// One more.
    pub fn note(&mut self, at: Timestamp) {
        *self.0.entry(at.as_second()).or_default() += 1;
        let newest = self.0.last_key_value().map_or(0, |(second, _)| *second);
        self.0 = self.0.split_off(&newest.saturating_sub(whole_seconds(LONGEST)));
    }

    /// Those since then: how many, and the second of the first.
    pub(super) fn since(&self, then: Timestamp) -> (u64, Option<i64>) {
        let late = self.0.range(then.as_second()..);
        (late.clone().map(|(_, count)| count).sum(), late.map(|(second, _)| *second).next())
    }
}

/// What misses ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// How many workers are kept warm beyond `replicas`.
    pub extra: usize,
    /// When they may be fewer.
    pub again: Option<Duration>,
}

impl Misses {
    /// One more.
    pub fn note(&mut self, at: Timestamp) {
        self.all.note(at);
    }

    /// What they ask for now: each for one worker at first, and for less from step to step. A miss
    /// with a stamp in the future counts as one of now.
    pub fn demand(&self, terms: &DemandTerms, now: Timestamp) -> Demand {
        let step = whole_seconds(terms.window / STEPS).max(1);
        let current = now.as_second().div_euclid(step);
        let parts = self.all.0.iter().map(|(second, count)| {
            let age = u64::try_from(current - second.div_euclid(step)).unwrap_or(0);
            count.saturating_mul(u64::from(STEPS).saturating_sub(age))
        });
        let asked = parts.fold(0, u64::saturating_add).div_ceil(STEPS.into());
        let extra = usize::try_from(asked).unwrap_or(usize::MAX).min(terms.max_extra);
        let ends = (current + 1) * step - now.as_second();
        let again = Duration::from_secs(u64::try_from(ends).unwrap_or(1).max(1));
        Demand { extra, again: (extra > 0).then_some(again) }
    }
}

fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn terms(window: u64, max_extra: usize) -> DemandTerms {
        DemandTerms { window: Duration::from_secs(window), max_extra }
    }

    fn misses(seconds: &[i64]) -> Misses {
        let mut misses = Misses::default();
        for second in seconds {
            misses.note(at(*second));
        }
        misses
    }

    #[test]
    fn misses_raise_the_target_and_decay() {
        let (burst, terms) = (misses(&[1000; 10]), terms(100, 50));
        let extra = |second| burst.demand(&terms, at(second)).extra;
        let decay: Vec<_> = (0..12).map(|step| extra(1000 + step * 10)).collect();
        assert_eq!(decay, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]);
        assert_eq!(extra(1009), 10, "within a step nothing changes");
    }

    #[test]
    fn the_next_look_is_when_the_next_step_begins() {
        let (burst, terms) = (misses(&[1000, 1000]), terms(100, 50));
        for (second, wait) in [(1000, 10), (1003, 7), (1009, 1), (1090, 10)] {
            let again = burst.demand(&terms, at(second)).again;
            assert_eq!(again, Some(Duration::from_secs(wait)), "{second}");
        }
        assert_eq!(burst.demand(&terms, at(1100)), Demand::default(), "nothing is left to do");
    }

    #[test]
    fn the_spec_says_how_many_at_most() {
        let burst = misses(&[1000; 10]);
        assert_eq!(burst.demand(&terms(100, 3), at(1000)).extra, 3);
        assert_eq!(burst.demand(&terms(100, 0), at(1000)), Demand::default(), "off");
        assert_eq!(burst.demand(&terms(100, 3), at(1075)).extra, 3, "as long as there are more");
    }

    #[test]
    fn misses_come_together_and_old_ones_are_forgotten() {
        let spread = misses(&[1000, 1050]);
        assert_eq!(spread.demand(&terms(100, 9), at(1050)).extra, 2, "half of one, and one");
        let late = misses(&[1000, 1000 + 3601]);
        assert_eq!(late.all.0.len(), 1);
        let future = misses(&[1200]);
        assert_eq!(future.demand(&terms(100, 9), at(1000)).extra, 1);
    }

    #[test]
    fn the_shortest_windows_work_by_the_second() {
        let burst = misses(&[1000; 4]);
        let extra = |second| burst.demand(&terms(5, 9), at(second)).extra;
        assert_eq!((extra(1000), extra(1005), extra(1010)), (4, 2, 0));
    }
}
