//! S15: a pool never has more workers than its maximum. A worker is started only while its pool
//! names it beside a number; there are no more numbers than the maximum; none is given twice; and
//! none is given back while its worker may live. Nor does a pool end a worker that serves.

use std::collections::{BTreeMap, BTreeSet};

use duckworker_core::WorkerState;
use serde_json::Value;

use crate::check::{Report, Rule, Step};
use crate::line::{Change, POOLS, WORKERS, pool_of};
use crate::seen::Worker;

/// Remembers nothing: a pool's status has it all.
#[derive(Debug, Default)]
pub struct Pools;

impl Rule for Pools {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        match (step.version.collection.as_str(), step.version.change) {
            (POOLS, Change::Updated) => numbers(step, report),
            (WORKERS, Change::Updated) => {
                started(step, report);
                spared(step, report);
            }
            _ => {}
        }
    }
}

/// The numbers that a pool's status says are taken, and who has them.
struct Numbers {
    next: i64,
    taken: BTreeMap<i64, Option<String>>,
}

impl Numbers {
    fn of(pool: &Value) -> Self {
        let ordinals = &pool["status"]["ordinals"];
        let taken = ordinals["taken"].as_array().into_iter().flatten();
        let seat = |seat: &Value| {
            Some((seat["ordinal"].as_i64()?, seat["uid"].as_str().map(str::to_owned)))
        };
        Self {
            next: ordinals["next"].as_i64().unwrap_or(0),
            taken: taken.filter_map(seat).collect(),
        }
    }

    fn workers(&self) -> BTreeSet<&str> {
        self.taken.values().flatten().map(String::as_str).collect()
    }
}

fn numbers(step: &Step<'_>, report: &mut Report) {
    let Some(before) = step.world.object(POOLS, step.uid()) else { return };
    let (old, new) = (Numbers::of(&before.value), Numbers::of(&step.version.object));
    if new.next < old.next {
        step.breaks(
            report,
            "S15",
            format!("the next number falls from {} to {}", old.next, new.next),
        );
    }
    let fresh = |number: &&i64| !old.taken.contains_key(number);
    if let Some(number) = new.taken.keys().filter(fresh).find(|number| **number < old.next) {
        step.breaks(report, "S15", format!("the number {number} is given again"));
    }
    let max = step.version.object["spec"]["maxWorkers"].as_u64().unwrap_or(u64::MAX);
    if new.taken.len() > old.taken.len() && new.taken.len() as u64 > max {
        let what = format!("{} numbers are taken, and the maximum is {max}", new.taken.len());
        step.breaks(report, "S15", what);
    }
    for uid in old.workers().difference(&new.workers()) {
        let may_live = step.world.worker(uid).filter(|worker| !is_over(worker));
        if let Some(worker) = may_live {
            let what = format!("the number of {} is given back, and it may live", worker.name);
            step.breaks(report, "S15", what);
        }
    }
}

/// A worker of a pool leaves Pending: its pool names it. A pool that is gone names nobody, and may
/// have done so a moment ago.
fn started(step: &Step<'_>, report: &mut Report) {
    let Some((old, new)) = step.worker else { return };
    if old.state != Some(WorkerState::Pending) || !new.is_active() {
        return;
    }
    let pool = pool_of(&step.version.object).and_then(|uid| step.world.object(POOLS, uid));
    let Some(pool) = pool else { return };
    if !Numbers::of(&pool.value).workers().contains(step.uid()) {
        step.breaks(report, "S15", "it is started, and its pool does not name it");
    }
}

/// A pool ends those that nobody uses, whatever it has too many of, and whoever owns them.
fn spared(step: &Step<'_>, report: &mut Report) {
    let Some((old, new)) = step.worker else { return };
    let record = new.newest.as_ref().filter(|_| old.newest != new.newest);
    let reason = record.and_then(|record| record.reason.as_deref());
    let is_pools = matches!(reason, Some("ScaledDown" | "OutOfDate" | "Displaced"));
    let served = matches!(
        old.state,
        Some(WorkerState::Reserved | WorkerState::Activating | WorkerState::Hot)
    );
    if is_pools && served && is_over(new) {
        step.breaks(report, "S15", format!("it served, and its pool ended it: {reason:?}"));
    }
}

fn is_over(worker: &Worker) -> bool {
    worker.state.is_some_and(WorkerState::is_terminal)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::story::Story;

    fn pool(max: u64, next: i64, taken: &[(i64, &str)]) -> serde_json::Value {
        let taken: Vec<_> =
            taken.iter().map(|(number, uid)| json!({ "ordinal": number, "uid": uid })).collect();
        json!({
            "spec": { "maxWorkers": max },
            "status": { "ordinals": { "next": next, "taken": taken } },
        })
    }

    #[test]
    fn a_worker_is_started_with_a_number() {
        let mut story = Story::new();
        story.object("workerpools", "p", pool(2, 0, &[]));
        story.object("workerpools", "p", pool(2, 1, &[(0, "v")]));
        story.worker("v").of_pool("p").owned("a", 1, "Spawning");
        story.kept("S15");
        story.worker("w").of_pool("p").owned("a", 1, "Spawning");
        story.broke("S15");
    }

    #[test]
    fn the_maximum_holds() {
        let mut story = Story::new();
        story.object("workerpools", "p", pool(1, 1, &[(0, "v")]));
        story.object("workerpools", "p", pool(1, 2, &[(0, "v"), (1, "w")]));
        story.broke("S15");
    }

    #[test]
    fn a_number_is_given_once() {
        let mut story = Story::new();
        story.object("workerpools", "p", pool(2, 1, &[]));
        story.object("workerpools", "p", pool(2, 1, &[(0, "w")]));
        story.broke("S15");
    }

    #[test]
    fn not_even_its_own_leader_ends_a_worker_that_serves_for_its_pool() {
        let retire = "retire_from_snapshot";
        for (state, breaks) in [("Idle", false), ("HotIdle", false), ("Hot", true)] {
            let mut story = Story::new();
            story.lease("a", "active");
            story.object("pools", "p", pool(1, 1, &[(0, "w")]));
            let served = (state != "Idle").then_some("t");
            let worker = story.worker("w").of_pool("p");
            match served {
                Some(tenant) => worker.set("tenant", tenant).owned("a", 1, state),
                None => worker.owned("a", 1, state),
            }
            let ended = story.worker("w").by("a", retire).reason("ScaledDown");
            ended.owned("a", 1, "Retired");
            if breaks { story.broke("S15") } else { story.kept("S15") }
        }
    }

    #[test]
    fn a_number_is_not_taken_from_the_living() {
        let mut story = Story::new();
        story.worker("v").of_pool("p").owned("a", 1, "Spawning");
        story.object("workerpools", "p", pool(1, 1, &[(0, "v")]));
        story.object("workerpools", "p", pool(1, 1, &[]));
        story.broke("S15");
    }
}
