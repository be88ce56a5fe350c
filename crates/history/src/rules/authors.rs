//! S5: who writes a status is its owner, or becomes it, or says so in a transition that others may
//! make; and the name in the record is the writer's own.

use duckworker_core::table::RightKind;

use crate::check::{Report, Rule, Step};
use crate::seen::is_by;

/// Needs no memory.
pub struct Authors;

impl Rule for Authors {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        let Some((old, new)) = step.worker else { return };
        if old.status == new.status {
            return;
        }
        let moved = old.newest != new.newest;
        let author = step.version.by.as_deref();
        if let Some(record) = new.newest.as_ref().filter(|_| moved) {
            if is_by(author, &record.by) == Some(false) {
                step.breaks(report, "S5", format!("it says that {} wrote it", record.by));
            }
            let wrong = match record.name.map(|name| name.rule().right) {
                Some(RightKind::Lease) => old.owner.as_deref() != Some(record.by.as_str()),
                Some(RightKind::Instance) => new.owner.as_deref() != Some(record.by.as_str()),
                _ => old.owner != new.owner,
            };
            if wrong {
                let what = format!("{} is not its author's to write", record.text);
                step.breaks(report, "S5", what);
            }
            return;
        }
        // A note, or a refresh: the owner's, or anyone's while there is none.
        let owner = old.owner.as_deref();
        if owner.is_some_and(|owner| is_by(author, owner) == Some(false)) {
            step.breaks(report, "S5", "somebody else writes on an owned worker");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn only_the_owner_makes_the_owners_transitions() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.worker("w").by("b", "ready").owned("a", 1, "Idle");
        story.broke("S5");
    }

    #[test]
    fn nobody_writes_in_anothers_name() {
        let mut story = Story::new();
        story.worker("w").owned("a.12345678.x", 1, "Spawning");
        story.author("sa/b.87654321");
        story.worker("w").by("a.12345678.x", "ready").owned("a.12345678.x", 1, "Idle");
        story.broke("S5");
    }

    #[test]
    fn notes_are_the_owners() {
        let mut story = Story::new();
        story.worker("w").owned("a.12345678.x", 1, "Idle");
        story.author("sa/b.87654321");
        story.worker("w").set("endpoint", "1.2.3.4").again();
        story.broke("S5");
    }
}
