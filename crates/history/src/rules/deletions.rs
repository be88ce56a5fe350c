//! S7: a pod or a secret of a worker is deleted by one of ours only when no way leads the worker
//! back: draining, over, being deleted, or gone. So a miss is never followed by a deletion (S6).

use duckworker_core::WorkerState;

use crate::check::{Report, Rule, Step};
use crate::line::{Change, PODS, SECRETS};
use crate::seen::{is_deleting, made_for};

/// Needs no memory.
pub struct Deletions;

impl Rule for Deletions {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        let version = step.version;
        if !matches!(version.collection.as_str(), PODS | SECRETS) {
            return;
        }
        let before = step.world.object(&version.collection, step.uid());
        let told = is_deleting(&version.object) && !before.is_some_and(|o| is_deleting(&o.value));
        let removed = version.change == Change::Deleted
            && !before.is_some_and(|object| is_deleting(&object.value));
        if !(told || removed) || !is_ours(version.by.as_deref()) {
            return;
        }
        let Some(worker) = made_for(&version.object).and_then(|uid| step.world.worker(uid)) else {
            return;
        };
        let replaced = version.collection == SECRETS && is_replaceable(step, worker.state);
        if !worker.may_lose_children() && !replaced {
            let state = worker.state.map_or("unknown", Into::into);
            step.breaks(report, "S7", format!("deleted while its worker is {state}"));
        }
    }
}

/// A predecessor's secret is not trusted: while a worker starts and has no pod yet, its owner
/// replaces it.
fn is_replaceable(step: &Step<'_>, state: Option<WorkerState>) -> bool {
    let uid = made_for(&step.version.object).unwrap_or_default();
    let Some(worker) = step.world.worker(uid) else { return true };
    let by_owner =
        worker.owner.as_deref().and_then(|o| crate::seen::is_by(step.version.by.as_deref(), o));
    state == Some(WorkerState::Spawning)
        && by_owner != Some(false)
        && !step.world.children(uid).any(|(kind, _)| kind == PODS)
}

/// Controllers and control planes run in pods; people, kubelets and the garbage collector do not.
/// Whose deletion it was is known from a simulation only.
fn is_ours(by: Option<&str>) -> bool {
    by.is_some_and(|by| by.contains('/'))
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn a_pod_of_a_serving_worker_stays() {
        let mut story = Story::new();
        story.worker("w").owned("a.12345678.x", 1, "Spawning");
        story.child("pods", "w");
        story.worker("w").owned("a.12345678.x", 1, "Idle");
        story.author("sa/a.12345678");
        story.delete("pods", "w");
        story.broke("S7");
    }

    #[test]
    fn a_peers_secret_stays() {
        let mut story = Story::new();
        story.worker("w").owned("a.12345678.x", 1, "Spawning");
        story.child("secrets", "w");
        story.author("sa/b.87654321");
        story.delete("secrets", "w");
        story.broke("S7");
    }
}
