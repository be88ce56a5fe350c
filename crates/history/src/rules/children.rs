//! S9: a worker has one pod in its life, and the pod has the secret that was made for it.
//! S10: finalizer, then secret, then pod. S14: what a paused owner makes too late is never used.

use std::collections::{BTreeMap, BTreeSet};

use duckworker_api::labels::{SECRET_UID_ENV, UID_ENV};
use duckworker_core::WorkerState;

use crate::check::{Report, Rule, Step};
use crate::line::{Change, PODS, SECRETS, uid_of};
use crate::seen::{made_for, variable};

/// Which pods each worker had.
#[derive(Debug, Default)]
pub struct Children {
    pods: BTreeMap<String, BTreeSet<String>>,
    late: BTreeSet<String>,
}

impl Rule for Children {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        self.recorded(step, report);
        let version = step.version;
        if version.change != Change::Created {
            return;
        }
        let Some(owner) = made_for(&version.object).map(str::to_owned) else { return };
        let worker = step.world.worker(&owner);
        let is_late = match worker {
            Some(worker) => worker.may_lose_children(),
            None => step.world.gone_since(&owner).is_some(),
        };
        let is_ours = version.by.as_deref().is_some_and(|by| by.contains('/'));
        let is_theirs = version.by.is_some() && !is_ours;
        match version.collection.as_str() {
            // A pod that only bears the label, or that somebody else made, is a forgery.
            PODS if !is_theirs && variable(&version.object, UID_ENV) == Some(owner.as_str()) => {
                self.pod(step, &owner, is_late, report);
            }
            // Anybody may put a secret of that name there; ours come after the finalizer.
            SECRETS if !is_late && is_ours && worker.is_some_and(|worker| !worker.finalizer) => {
                step.breaks(report, "S10", "a secret before the finalizer");
            }
            _ => {}
        }
    }
}

impl Children {
    fn pod(&mut self, step: &Step<'_>, owner: &str, is_late: bool, report: &mut Report) {
        let pods = self.pods.entry(owner.to_owned()).or_default();
        pods.insert(step.uid().to_owned());
        if is_late {
            // A worker that is only being deleted still has an owner, whose request was on its way.
            let worker = step.world.worker(owner);
            if worker.is_none_or(|worker| worker.state.is_none_or(WorkerState::is_condemned)) {
                self.late.insert(step.uid().to_owned());
            }
            return;
        }
        if pods.len() > 1 {
            step.breaks(report, "S9", "a second pod of the same worker");
        }
        let Some(worker) = step.world.worker(owner) else { return };
        if !worker.finalizer || worker.state == Some(WorkerState::Pending) {
            step.breaks(report, "S10", "a pod before the finalizer and an owner");
        }
        let secret = variable(&step.version.object, SECRET_UID_ENV);
        let secret = secret.and_then(|uid| step.world.object(SECRETS, uid));
        let Some(secret) = secret.filter(|secret| made_for(&secret.value) == Some(owner)) else {
            return step.breaks(report, "S10", "a pod before its secret");
        };
        let (maker, author) = (&secret.created_by, &step.version.by);
        if maker.is_some() && author.is_some() && maker != author {
            step.breaks(report, "S9", format!("a pod with the secret that {maker:?} made"));
        }
    }

    fn recorded(&self, step: &Step<'_>, report: &mut Report) {
        let Some((old, new)) = step.worker else { return };
        let Some(pod) = new.pod.as_ref().filter(|_| old.pod != new.pod) else { return };
        if old.pod.is_some() {
            step.breaks(report, "S9", "another pod is recorded");
        }
        if self.late.contains(pod) {
            step.breaks(report, "S14", "a pod that was made too late is recorded");
        }
        let known = self.pods.get(uid_of(&step.version.object));
        if known.is_some_and(|pods| !pods.contains(pod)) {
            step.breaks(report, "S9", format!("the pod {pod} is recorded and is another's"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn there_is_one_pod() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.child("secrets", "w");
        story.child("pods", "w");
        story.delete("pods", "w");
        story.child("pods", "w");
        story.broke("S9");
    }

    #[test]
    fn a_forged_pod_is_no_second_one() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.child("secrets", "w");
        story.child("pods", "w");
        story.author("somebody");
        story.child("pods", "w");
        story.kept("S9");
    }

    #[test]
    fn the_secret_comes_first() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.child("pods", "w");
        story.broke("S10");
    }

    #[test]
    fn the_secret_is_the_makers_own() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.author("sa/a.12345678");
        story.child("secrets", "w");
        story.author("sa/b.87654321");
        story.child("pods", "w");
        story.broke("S9");
    }

    #[test]
    fn the_owner_of_a_deleted_worker_is_not_too_late() {
        let mut story = Story::new();
        story.worker("w").deleting().owned("a", 1, "Spawning");
        story.child("secrets", "w");
        let pod = story.child("pods", "w");
        story.worker("w").pod(&pod).again();
        story.kept("S14");
    }

    #[test]
    fn what_comes_too_late_is_not_used() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Draining");
        let pod = story.child("pods", "w");
        story.worker("w").pod(&pod).again();
        story.broke("S14");
    }
}
