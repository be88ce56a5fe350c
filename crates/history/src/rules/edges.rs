//! S2: every change of state is one that the table allows, under the name that it bears.
//! S3: nothing leads out of Retired and Lost. S12: the claim is set, kept and cleared as the table
//! says.

use duckworker_core::table::ClaimEffect;
use duckworker_core::{TransitionName, WorkerState, edges};

use crate::check::{Report, Rule, Step};
use crate::seen::Worker;

/// Needs no memory.
pub struct Edges;

impl Rule for Edges {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        let Some((old, new)) = step.worker else { return };
        if old.status == new.status {
            return;
        }
        let (Some(from), Some(to)) = (old.state, new.state) else {
            return step.breaks(report, "S2", "a state that is none");
        };
        if from.is_terminal() && (to != from || old.epoch != new.epoch) {
            return step.breaks(report, "S3", format!("{from} → {to}"));
        }
        let rises = new.epoch != old.epoch;
        let moved = from != to || old.owner != new.owner;
        let name = moved.then(|| new.newest.as_ref().and_then(|record| record.name)).flatten();
        if moved && old.newest == new.newest {
            step.breaks(report, "S2", "a change of state or owner that is not recorded");
        }
        let fits = |edge: &edges::Edge| {
            (edge.from, edge.to, edge.epoch_rises) == (from, to, rises)
                && name.is_none_or(|name| name == edge.by)
        };
        // What is written about a worker that is over, or that nobody owns, are conditions.
        let noted = from == to && !rises && (from == WorkerState::Pending || from.is_terminal());
        if !noted && !edges::edges().iter().any(fits) {
            let by = name.map_or("a write", Into::into);
            step.breaks(report, "S2", format!("{from} → {to}, epoch {rises}, by {by}"));
        }
        if let Some(name) = name {
            claim(step, name, old, new, report);
        }
    }
}

fn claim(step: &Step<'_>, name: TransitionName, old: &Worker, new: &Worker, report: &mut Report) {
    let wrong = match name.rule().claim {
        ClaimEffect::Keep => old.claim != new.claim,
        ClaimEffect::Clear => new.claim.is_some(),
        ClaimEffect::Set => false,
    };
    if wrong {
        let what = format!("{name} leaves the claim {:?}, it was {:?}", new.claim, old.claim);
        step.breaks(report, "S12", what);
    }
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn states_change_along_the_table() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.worker("w").owned("a", 1, "Hot");
        story.broke("S2");
    }

    #[test]
    fn a_name_must_fit_its_edge() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.worker("w").by("a", "retire_drained").owned("a", 1, "Retired");
        story.broke("S2");
    }

    #[test]
    fn the_end_is_the_end() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Retired");
        story.worker("w").owned("a", 1, "Idle");
        story.broke("S3");
    }

    #[test]
    fn a_release_clears_the_claim() {
        let mut story = Story::new();
        story.worker("w").set("claim", "c-1").owned("a", 2, "Hot");
        story.worker("w").set("claim", "c-1").by("a", "release").owned("a", 2, "HotIdle");
        story.broke("S12");
    }
}
