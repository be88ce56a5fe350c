//! S8: what others do to a worker while its owner lives, they do for a reason that anyone can see.
//! S16: the sweep of orphans ends no worker that could be adopted, and none whose owner lives.

use duckworker_api::labels::SECRET_UID_ENV;
use duckworker_core::table::RightKind;
use duckworker_core::{OwnerStanding, TransitionName, WorkerState};

use crate::check::{Report, Rule, Step};
use crate::line::{PODS, SECRETS, pool_of};
use crate::seen::{Worker, has_ended, variable};
use crate::world::elapsed;

/// Needs no memory.
pub struct Owners;

impl Rule for Owners {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        let Some((old, new)) = step.worker else { return };
        let Some(record) = new.newest.as_ref().filter(|_| old.newest != new.newest) else { return };
        let standing =
            old.owner.as_deref().map_or(OwnerStanding::Absent, |owner| step.world.standing(owner));
        let own = old.owner.as_deref() == Some(record.by.as_str());
        match record.name {
            Some(TransitionName::Adopt) => adopted(step, old, standing, report),
            Some(TransitionName::RetireOrphanFromSnapshot) => orphaned(step, old, standing, report),
            Some(TransitionName::RetireFromSnapshot) if !own && !standing.is_dead() => {
                ended(step, old, new, report);
            }
            _ => {}
        }
        let drained = record.name == Some(TransitionName::Drain);
        if drained && record.reason.as_deref() == Some("SecretLost") && has_secret(step, old) {
            step.breaks(report, "S8", "drained for the loss of a secret that is there");
        }
        let abandoned = record.name == Some(TransitionName::Abandon);
        if abandoned && record.reason.as_deref() == Some("PodGone") && runs(step, old) {
            step.breaks(report, "S8", "abandoned for the loss of a pod that runs");
        }
        let lost = new.state == Some(WorkerState::Lost) && old.state != new.state;
        let snapshot = record.name.is_some_and(|name| name.rule().right == RightKind::Snapshot);
        if lost && (snapshot || record.reason.as_deref() == Some("PodGone")) && runs(step, old) {
            let why = record.reason.as_deref().unwrap_or("no reason");
            step.breaks(report, "S8", format!("called lost for {why} while its pod runs"));
        }
    }
}

fn adopted(step: &Step<'_>, old: &Worker, standing: OwnerStanding, report: &mut Report) {
    let neglected = old.deletion.is_some_and(|since| {
        // Object stamps are whole seconds.
        elapsed(since, step.at()) + std::time::Duration::from_secs(1) >= old.drain
    });
    if !standing.gives_up() && !neglected {
        let owner = old.owner.as_deref().unwrap_or("nobody");
        step.breaks(report, "S8", format!("adopted from {owner}, which lives"));
    }
}

fn orphaned(step: &Step<'_>, old: &Worker, standing: OwnerStanding, report: &mut Report) {
    if !standing.is_dead() {
        step.breaks(report, "S16", format!("swept as an orphan, and its owner is {standing:?}"));
    }
    if old.is_adoptable() {
        step.breaks(report, "S16", "swept as an orphan, and anyone could have adopted it");
    }
}

/// Ended by somebody else while its owner lives: its pod is gone, it stood for too long, or its pool
/// has no use for it.
fn ended(step: &Step<'_>, old: &Worker, new: &Worker, report: &mut Report) {
    if new.state == Some(WorkerState::Lost) {
        return;
    }
    let waited = old.state_since.map(|since| elapsed(since, step.at()));
    let due = old.patience().zip(waited).is_some_and(|(patience, waited)| {
        waited + std::time::Duration::from_secs(2) >= patience + step.settings.margin
    });
    if !due && !is_spare(step, old, new) {
        let state = old.state.map_or("unknown", Into::into);
        let what = format!("ended by another in {state} after {waited:?}, and its owner lives");
        step.breaks(report, "S8", what);
    }
}

/// It serves nobody, and its pool says that it need not wait for somebody.
fn is_spare(step: &Step<'_>, old: &Worker, new: &Worker) -> bool {
    let reason = new.newest.as_ref().and_then(|record| record.reason.as_deref());
    let is_pools = matches!(reason, Some("ScaledDown" | "OutOfDate" | "Displaced"));
    let serves_nobody =
        matches!(old.state, Some(WorkerState::Spawning | WorkerState::Idle | WorkerState::HotIdle));
    is_pools && serves_nobody && pool_of(&step.version.object).is_some()
}

/// The secret that its pod mounts is there.
fn has_secret(step: &Step<'_>, worker: &Worker) -> bool {
    let pod = worker.pod.as_deref().and_then(|uid| step.world.object(PODS, uid));
    let secret = pod.and_then(|pod| variable(&pod.value, SECRET_UID_ENV));
    secret.is_some_and(|uid| step.world.object(SECRETS, uid).is_some())
}

/// The pod that is recorded is there and neither ended nor told to.
fn runs(step: &Step<'_>, worker: &Worker) -> bool {
    let pod = worker.pod.as_deref().and_then(|uid| step.world.object(PODS, uid));
    pod.is_some_and(|pod| !has_ended(&pod.value))
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn nobody_adopts_from_the_living() {
        let mut story = Story::new();
        story.lease("a", "active");
        story.worker("w").owned("a", 1, "Idle");
        story.worker("w").by("b", "adopt").owned("b", 2, "Idle");
        story.broke("S8");
    }

    #[test]
    fn nobody_ends_the_hot_worker_of_the_living() {
        let mut story = Story::new();
        story.lease("a", "active");
        story.worker("w").set("tenant", "t").owned("a", 1, "Hot");
        story.worker("w").by("b", "retire_from_snapshot").owned("a", 1, "Retired");
        story.broke("S8");
    }

    #[test]
    fn a_pool_ends_what_serves_nobody() {
        let mut story = Story::new();
        story.lease("a", "active");
        let retire = "retire_from_snapshot";
        story.worker("v").of_pool("p").owned("a", 1, "Idle");
        story.worker("v").by("b", retire).reason("ScaledDown").owned("a", 1, "Retired");
        story.kept("S8");
        story.worker("w").of_pool("p").set("tenant", "t").owned("a", 1, "Hot");
        story.worker("w").by("b", retire).reason("ScaledDown").owned("a", 1, "Retired");
        story.broke("S8");
    }

    #[test]
    fn orphans_have_dead_owners() {
        let mut story = Story::new();
        story.lease("a", "active");
        story.worker("w").set("tenant", "t").owned("a", 1, "Hot");
        story.worker("w").by("b", "retire_orphan_from_snapshot").owned("a", 1, "Retired");
        story.broke("S16");
    }

    #[test]
    fn what_can_be_adopted_is_no_orphan() {
        let mut story = Story::new();
        story.lease("a", "expired");
        story.worker("w").owned("a", 1, "Idle");
        story.worker("w").by("b", "retire_orphan_from_snapshot").owned("a", 1, "Retired");
        story.broke("S16");
    }

    #[test]
    fn a_secret_that_is_there_is_not_lost() {
        let mut story = Story::new();
        story.child("secrets", "w");
        let pod = story.child("pods", "w");
        story.worker("w").pod(&pod).owned("a", 1, "Idle");
        story.worker("w").reason("SecretLost").by("a", "drain").owned("a", 1, "Draining");
        story.broke("S8");
    }

    #[test]
    fn a_start_whose_pod_is_there_is_not_given_up() {
        let mut story = Story::new();
        let pod = story.child("pods", "w");
        story.worker("w").pod(&pod).owned("a", 1, "Spawning");
        story.worker("w").reason("PodGone").by("a", "abandon").owned("a", 1, "Retired");
        story.broke("S8");
    }

    #[test]
    fn a_worker_with_a_pod_is_not_lost() {
        let mut story = Story::new();
        story.lease("a", "active");
        let pod = story.child("pods", "w");
        story.worker("w").pod(&pod).owned("a", 1, "Idle");
        story.worker("w").reason("PodGone").by("a", "mark_lost").owned("a", 1, "Lost");
        story.broke("S8");
    }
}
