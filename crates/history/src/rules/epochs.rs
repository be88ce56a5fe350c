//! S1: an epoch rises by one at a time, never falls, and names one owner.

use std::collections::BTreeMap;

use crate::check::{Report, Rule, Step};

/// Every epoch of every worker, and whose it was.
#[derive(Debug, Default)]
pub struct Epochs(BTreeMap<(String, i64), Option<String>>);

impl Rule for Epochs {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        let Some((old, new)) = step.worker else { return };
        let rise = new.epoch - old.epoch;
        if !(0..=1).contains(&rise) {
            step.breaks(
                report,
                "S1",
                format!("the epoch goes from {} to {}", old.epoch, new.epoch),
            );
        }
        if old.owner != new.owner && rise != 1 {
            step.breaks(report, "S1", "the owner changes and the epoch does not");
        }
        let key = (step.uid().to_owned(), new.epoch);
        let known = self.0.entry(key).or_insert_with(|| new.owner.clone());
        if *known != new.owner {
            let (one, other) = (known.clone(), new.owner.clone());
            step.breaks(
                report,
                "S1",
                format!("epoch {} belongs to {one:?} and to {other:?}", new.epoch),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn epochs_rise_by_one() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.worker("w").owned("b", 3, "Spawning");
        story.broke("S1");
    }

    #[test]
    fn an_epoch_has_one_owner() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.worker("w").owned("b", 1, "Spawning");
        story.broke("S1");
    }
}
