//! S21: clocks in a status start when the state changes and at no other time. A refresh of lease or
//! credentials does not make an idle worker young again.

use duckworker_core::WorkerState;

use crate::check::{Report, Rule, Step};

/// Needs no memory.
pub struct Clocks;

impl Rule for Clocks {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        let Some((old, new)) = step.worker else { return };
        if old.status == new.status {
            return;
        }
        if old.state == new.state {
            if old.idle_since != new.idle_since || old.state_since != new.state_since {
                step.breaks(report, "S21", "a clock is set and the state stays");
            }
            return;
        }
        let rests = matches!(new.state, Some(WorkerState::Idle | WorkerState::HotIdle));
        if rests != new.idle_since.is_some() {
            let what = format!("idle since {:?} in {:?}", new.idle_since, new.state);
            step.breaks(report, "S21", what);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn a_refresh_leaves_the_idle_clock_alone() {
        let mut story = Story::new();
        story.worker("w").set("tenant", "t").set("idleSince", "1").owned("a", 1, "HotIdle");
        story.worker("w").set("tenant", "t").set("idleSince", "2").owned("a", 2, "HotIdle");
        story.broke("S21");
    }
}
