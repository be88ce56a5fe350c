//! L1 to L11: when the faults have stopped and there was time, everything is as it should be, and
//! stays so without a write. What can be told from one moment stands in [`crate::rest`].

use std::time::Duration;

use duckworker_api::labels::{COMPONENT, INSTANCE_STATE};
use duckworker_core::{OwnerStanding, WorkerState};
use serde_json::Value;

use crate::check::{Report, Rule, Step, Violation};
use crate::line::{CLAIMS, Change, LEASES, PODS, POOLS, SECRETS, WORKERS, name_of, uid_of};
use crate::rest::unrest;
use crate::seen::{Worker, holder, instance_state};
use crate::world::{Object, Settings, World, elapsed};

/// Counts the writes of the quiet time.
#[derive(Debug, Default)]
pub struct Calm {
    loud: usize,
}

/// So many loud writes are told one by one.
const TOLD: usize = 3;

impl Rule for Calm {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        let Some(calm) = step.settings.calm else { return };
        if step.at() < calm.quiet_since || is_renewal(step) {
            return;
        }
        self.loud += 1;
        if self.loud <= TOLD {
            step.breaks(report, "L7", "a write while there is nothing to do");
        }
    }

    fn end(&mut self, world: &World, settings: &Settings, report: &mut Report) {
        let Some(calm) = settings.calm else { return };
        let mut tell = |rule, collection: &str, object: &Object, what: String| {
            let name = format!("{collection} {}", name_of(&object.value));
            report.push(Violation { rule, object: name, revisions: vec![object.revision], what });
        };
        for (uid, object) in world.all(WORKERS) {
            let Some(worker) = world.worker(uid) else { continue };
            if let Some(what) = stands_still(settings, worker, calm.end) {
                tell("L2", WORKERS, object, what);
            }
        }
        if let Some((_, lease)) = world.all(LEASES).find(|(_, lease)| is_janitors(&lease.value)) {
            let leader = holder(&lease.value).unwrap_or_default();
            if world.standing(leader) != OwnerStanding::Live {
                tell("L9", LEASES, lease, format!("held by {leader:?}, which does not live"));
            }
        }
        report.extend(unrest(world));
    }
}

/// L2: a worker stands too long where it should not.
fn stands_still(settings: &Settings, worker: &Worker, end: jiff::Timestamp) -> Option<String> {
    if worker.state == Some(WorkerState::Pending) {
        return Some("nobody takes it".to_owned());
    }
    let state = worker.state.map_or("unknown", Into::into);
    let waited = worker.state_since.map_or(Duration::ZERO, |since| elapsed(since, end));
    // The janitor's own least times are ten minutes; a history that calm has passed them.
    let limit = worker.patience()? + settings.margin + TEN_MINUTES;
    (waited > limit).then(|| format!("it stands in {state} for {waited:?}"))
}

const TEN_MINUTES: Duration = Duration::from_mins(10);

fn is_janitors(lease: &Value) -> bool {
    lease["metadata"]["labels"][COMPONENT] == "janitor"
}

/// L7: a renewal changes neither holder nor state.
fn is_renewal(step: &Step<'_>) -> bool {
    if step.version.collection != LEASES {
        let concerns =
            [WORKERS, POOLS, CLAIMS, PODS, SECRETS].contains(&step.version.collection.as_str());
        return !concerns;
    }
    if step.version.change != Change::Updated {
        // Leases of those that are dead for long are tidied away.
        let state = instance_state(&step.version.object);
        let is_new = step.version.change == Change::Created;
        return state.is_none() || state == Some(OwnerStanding::Expired) && !is_new;
    }
    let before = step.world.object(LEASES, uid_of(&step.version.object));
    let what = |lease: &Value| {
        (lease["metadata"]["labels"][INSTANCE_STATE].clone(), holder(lease).map(str::to_owned))
    };
    before.is_none_or(|before| what(&before.value) == what(&step.version.object))
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn the_dead_own_nothing_in_the_end() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Idle");
        story.lease("a", "expired");
        story.pass(3600);
        story.broke_when_calm("L3");
    }

    #[test]
    fn nothing_stands_still_for_ever() {
        let mut story = Story::new();
        story.lease("a", "active");
        story.worker("w").owned("a", 1, "Spawning");
        story.pass(3600);
        story.broke_when_calm("L2");
    }

    #[test]
    fn what_is_deleted_goes() {
        let mut story = Story::new();
        story.lease("a", "active");
        story.worker("w").deleting().owned("a", 1, "Draining");
        story.pass(3600);
        story.broke_when_calm("L4");
    }

    #[test]
    fn strays_are_swept() {
        let mut story = Story::new();
        story.lease("a", "active");
        story.worker("w").owned("a", 1, "Retired");
        story.child("secrets", "w");
        story.pass(3600);
        story.broke_when_calm("L5");
    }

    #[test]
    fn rest_is_quiet() {
        let mut story = Story::new();
        story.lease("a", "active");
        story.worker("w").owned("a", 1, "Idle");
        story.pass(3600);
        story.worker("w").set("endpoint", "x").again();
        story.broke_when_calm("L7");
    }

    #[test]
    fn somebody_cleans_up() {
        let mut story = Story::new();
        story.janitor("a");
        story.lease("a", "expired");
        story.pass(3600);
        story.broke_when_calm("L9");
    }
}
