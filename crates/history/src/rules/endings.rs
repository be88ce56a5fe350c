//! S13: a worker that drained is retired when its pod is gone and not before; the finalizer goes
//! when neither pod nor secret of it is left. What was made after its end was decided is not meant:
//! the sweeps have that (S14, L5).

use std::collections::BTreeMap;

use duckworker_core::TransitionName;

use crate::check::{Report, Rule, Step};
use crate::line::PODS;
use crate::line::{Change, WORKERS};
use crate::world::Object;

/// Needs no memory but what the end of each worker was.
#[derive(Debug, Default)]
pub struct Endings {
    /// At which revision the end of each worker was decided.
    decided: BTreeMap<String, u64>,
}

impl Rule for Endings {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        if step.version.collection != WORKERS {
            return;
        }
        let Some(before) = step.world.worker(step.uid()) else { return };
        if let Some((old, new)) = step.worker
            && !old.may_lose_children()
            && new.may_lose_children()
        {
            self.decided.insert(step.uid().to_owned(), step.version.revision);
        }
        let released = match step.worker {
            Some((old, new)) => old.finalizer && !new.finalizer,
            None => step.version.change == Change::Deleted && before.finalizer,
        };
        let by_person = step.version.by.as_deref().is_some_and(|by| !by.contains('/'));
        if released && !by_person {
            for (kind, child) in self.left(step) {
                let name = crate::line::name_of(&child.value);
                step.breaks(report, "S13", format!("let go before its {kind} {name}"));
            }
        }
        let drained = step.worker.and_then(|(old, new)| {
            let record = new.newest.as_ref().filter(|_| old.newest != new.newest)?;
            (record.name == Some(TransitionName::RetireDrained)).then_some(old)
        });
        if let Some(pod) = drained.and_then(|old| old.pod.as_ref())
            && step.world.object(PODS, pod).is_some()
        {
            step.breaks(report, "S13", "retired as drained while its pod is there");
        }
    }
}

impl Endings {
    fn left<'a>(&self, step: &'a Step<'_>) -> Vec<(&'static str, &'a Object)> {
        let decided = self.decided.get(step.uid()).copied().unwrap_or(u64::MAX);
        let children = step.world.children(step.uid());
        children.filter(|(_, child)| child.created.0 <= decided).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn nothing_is_left_behind() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.child("secrets", "w");
        story.worker("w").deleting().owned("a", 1, "Retired");
        story.author("sa/a.12345678");
        story.remove_worker("w");
        story.broke("S13");
    }

    #[test]
    fn drained_means_that_the_pod_is_gone() {
        let mut story = Story::new();
        let pod = story.child("pods", "w");
        story.worker("w").pod(&pod).owned("a", 1, "Draining");
        story.worker("w").by("a", "retire_drained").owned("a", 1, "Retired");
        story.broke("S13");
    }
}
