//! S4: each write of a status has an id of its own and counts one. A try that its client calls won
//! is in the history once, at the epoch that its right named; the writes that it calls refuted are
//! not there at all.

use std::collections::{BTreeMap, BTreeSet};

use duckworker_core::TransitionName;
use duckworker_core::table::EpochStep;

use crate::check::{Report, Rule, Step, Violation};
use crate::line::{Operation, Outcome};
use crate::world::{Settings, World};

/// Where a write is in the history.
#[derive(Debug, Clone)]
struct Landed {
    worker: String,
    revision: u64,
    epoch: i64,
}

/// All ids, and all claims about them.
#[derive(Debug, Default)]
pub struct Writes {
    landed: BTreeMap<String, Landed>,
    /// Workers whose beginning is not in the recording.
    joined_late: BTreeSet<String>,
    won: Vec<Operation>,
    refuted: Vec<(String, Operation)>,
}

impl Rule for Writes {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        let Some((old, new)) = step.worker else {
            if !step.version.object["status"]["writes"]["ids"][0].is_null() {
                self.joined_late.insert(step.uid().to_owned());
            }
            return;
        };
        if old.status == new.status {
            return;
        }
        if new.seq != old.seq + 1 {
            let what = format!("the status is write {} and was write {}", new.seq, old.seq);
            step.breaks(report, "S4", what);
        }
        let Some(id) = new.ids.first() else {
            return step.breaks(report, "S4", "a write without an id");
        };
        let (worker, revision) = (step.uid().to_owned(), step.version.revision);
        let landed = Landed { worker, revision, epoch: new.epoch };
        if let Some(earlier) = self.landed.insert(id.clone(), landed) {
            let what = format!("the write {id} landed before, at {}", earlier.revision);
            step.breaks(report, "S4", what);
        }
    }

    fn operation(&mut self, operation: &Operation, _world: &World, _report: &mut Report) {
        if matches!(operation.outcome, Outcome::Won(_)) {
            self.won.push(operation.clone());
        }
        let refuted = operation.refuted.iter().map(|id| (id.clone(), operation.clone()));
        self.refuted.extend(refuted);
    }

    fn end(&mut self, _world: &World, _settings: &Settings, report: &mut Report) {
        let say = |operation: &Operation, revisions: Vec<u64>, what: String| Violation {
            rule: "S4",
            object: format!("worker {}", operation.worker),
            revisions,
            what: format!("{what}: {} by {}", operation.transition, operation.owner),
        };
        for operation in &self.won {
            let Outcome::Won(id) = &operation.outcome else { continue };
            let landed = self.landed.get(id).filter(|landed| landed.worker == operation.worker);
            let Some(landed) = landed else {
                if !self.joined_late.contains(&operation.worker) {
                    let what = format!("won, and write {id} never landed");
                    report.push(say(operation, vec![], what));
                }
                continue;
            };
            if let Some(right) =
                operation.epoch.filter(|right| after(operation, *right) != landed.epoch)
            {
                let what =
                    format!("won by a right of epoch {right}, and stood at {}", landed.epoch);
                report.push(say(operation, vec![landed.revision], what));
            }
        }
        for (id, operation) in &self.refuted {
            if let Some(landed) = self.landed.get(id) {
                let what = format!("given up, and write {id} landed");
                report.push(say(operation, vec![landed.revision], what));
            }
        }
    }
}

/// The epoch after a transition by a right of this epoch.
fn after(operation: &Operation, right: i64) -> i64 {
    let name: Option<TransitionName> = operation.transition.parse().ok();
    right + i64::from(name.is_some_and(|name| name.rule().epoch == EpochStep::Next))
}

#[cfg(test)]
mod tests {
    use crate::line::Outcome;
    use crate::story::Story;

    #[test]
    fn an_id_lands_once() {
        let mut story = Story::new();
        story.worker("w").write("id-1").owned("a", 1, "Spawning");
        story.worker("w").write("id-1").owned("a", 1, "Idle");
        story.broke("S4");
    }

    #[test]
    fn what_is_won_is_there() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.operation("w", Outcome::Won("nowhere".to_owned()), &[]);
        story.broke("S4");
    }

    #[test]
    fn a_stale_lease_wins_nothing() {
        let mut story = Story::new();
        story.worker("w").owned("a", 2, "Spawning");
        story.worker("w").write("id-7").owned("a", 2, "Idle");
        story.operation_at("w", 1, Outcome::Won("id-7".to_owned()));
        story.broke("S4");
    }

    #[test]
    fn what_is_given_up_is_not_there() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.worker("w").write("id-7").owned("a", 1, "Idle");
        story.operation("w", Outcome::Missed("epoch".to_owned()), &["id-7"]);
        story.broke("S4");
    }
}
