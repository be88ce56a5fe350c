//! What is not as it should be once nothing happens any more: L1, L3 to L6, L11 and END. A look at one
//! moment, for the end of a history, and for whoever waits until a cluster is at rest.

use std::collections::{BTreeMap, BTreeSet};

use duckworker_core::WorkerState;
use serde_json::{Value, json};

use crate::check::Violation;
use crate::line::{CLAIMS, PODS, POOLS, SECRETS, TENANTS, WORKERS, name_of, pool_of};
use crate::seen::{Worker, is_deleting, made_for};
use crate::world::{Object, World};

/// Everything that is not at rest.
pub fn unrest(world: &World) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for kind in [WORKERS, POOLS, CLAIMS, TENANTS] {
        for (_, object) in world.all(kind).filter(|(_, object)| is_deleting(&object.value)) {
            tell(&mut wrong, "L4", kind, object, "it was deleted and does not go");
        }
    }
    workers(world, &mut wrong);
    children(world, &mut wrong);
    let idle = pools(world, &mut wrong);
    claims(world, &idle, &mut wrong);
    tenants(world, &mut wrong);
    wrong
}

fn tell(
    wrong: &mut Vec<Violation>,
    rule: &'static str,
    collection: &str,
    object: &Object,
    what: impl Into<String>,
) {
    let name = format!("{collection} {}", name_of(&object.value));
    let what = what.into();
    wrong.push(Violation { rule, object: name, revisions: vec![object.revision], what });
}

/// L3 no active worker has a dead owner; L6 none serves a claim that is gone; END none stands in a state that passes.
fn workers(world: &World, wrong: &mut Vec<Violation>) {
    for (uid, object) in world.all(WORKERS) {
        let Some(worker) = world.worker(uid) else { continue };
        let state = worker.state.map_or("unknown", Into::into);
        let owner = worker.owner.as_deref().filter(|_| worker.is_active());
        if let Some(owner) = owner.filter(|owner| world.standing(owner).is_dead()) {
            let what = format!("it is {state} and its owner {owner} is dead");
            tell(wrong, "L3", WORKERS, object, what);
        }
        let claim = worker.claim.as_deref().filter(|_| worker.is_active());
        if let Some(claim) = claim.filter(|claim| world.gone_since(claim).is_some()) {
            tell(
                wrong,
                "L6",
                WORKERS,
                object,
                format!("it serves the claim {claim}, which is gone"),
            );
        }
        let stands = serves(worker) || worker.state.is_none_or(WorkerState::is_terminal);
        if !stands && worker.deletion.is_none() {
            tell(wrong, "END", WORKERS, object, format!("it stays {state}"));
        }
    }
}

/// L5 each pod and each secret belongs to a worker that may have it; END each worker that serves has
/// one of both.
fn children(world: &World, wrong: &mut Vec<Violation>) {
    for kind in [PODS, SECRETS] {
        let mut owned = BTreeSet::new();
        for (_, object) in world.all(kind) {
            let Some(uid) = made_for(&object.value) else { continue };
            if !world.worker(uid).is_some_and(Worker::is_active) {
                tell(wrong, "L5", kind, object, "nobody will ever use it");
            } else if !is_deleting(&object.value) {
                owned.insert(uid);
            }
        }
        for (uid, object) in world.all(WORKERS) {
            if world.worker(uid).is_some_and(serves) && !owned.contains(uid) {
                tell(wrong, "END", WORKERS, object, format!("it serves and has none of {kind}"));
            }
        }
    }
}

/// L1: each pool has as many idle workers as it should, as far as its maximum leaves room. Returns
/// how many are idle, by namespace and name.
fn pools(world: &World, wrong: &mut Vec<Violation>) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (uid, object) in world.all(POOLS) {
        let its = world.all(WORKERS).filter(|(_, worker)| pool_of(&worker.value) == Some(uid));
        let its: Vec<&Worker> = its.filter_map(|(uid, _)| world.worker(uid)).collect();
        let count = |is: fn(&Worker) -> bool| its.iter().filter(|worker| is(worker)).count() as u64;
        let idle = count(|worker| worker.state == Some(WorkerState::Idle));
        let busy = count(Worker::is_active) - idle;
        let (spec, status) = (&object.value["spec"], &object.value["status"]);
        let number = |field: &str| spec[field].as_u64().unwrap_or_default();
        let wanted = number("replicas").min(number("maxWorkers").saturating_sub(busy));
        if idle != wanted {
            tell(wrong, "L1", POOLS, object, format!("{idle} idle of {wanted}, {busy} busy"));
        }
        if status["observedGeneration"] != object.value["metadata"]["generation"] {
            tell(wrong, "L1", POOLS, object, "its status is not that of its spec");
        }
        all.insert(name_of(&object.value), idle);
    }
    all
}

/// L6: no claim waits while its pool has an idle worker, unless its tenant holds all that it may.
fn claims(world: &World, idle: &BTreeMap<String, u64>, wrong: &mut Vec<Violation>) {
    let full: BTreeSet<String> = world
        .all(TENANTS)
        .filter(|(_, o)| is_full(&o.value))
        .map(|(_, o)| name_of(&o.value))
        .collect();
    for (_, object) in world.all(CLAIMS) {
        let (claim, spec) = (&object.value, &object.value["spec"]);
        let namespace = &claim["metadata"]["namespace"];
        let beside = |field: &str| {
            name_of(&json!({ "metadata": { "namespace": namespace, "name": spec[field] } }))
        };
        match claim["status"]["phase"].as_str().unwrap_or("Pending") {
            "Pending" => {
                let idle = idle.get(&beside("poolName")).copied().unwrap_or(0);
                if idle > 0 && !full.contains(&beside("tenant")) {
                    tell(wrong, "L6", CLAIMS, object, format!("it waits, and {idle} are idle"));
                }
            }
            "Bound" => tell(wrong, "L6", CLAIMS, object, "it stays Bound"),
            _ => {}
        }
    }
}

fn is_full(tenant: &Value) -> bool {
    let cap = tenant["spec"]["maxWorkers"].as_u64();
    cap.is_some_and(|cap| tenant["status"]["used"].as_u64().unwrap_or(0) >= cap)
}

/// L11: each ledger of a capped tenant holds what the tenant holds, and the cap is said to hold.
fn tenants(world: &World, wrong: &mut Vec<Violation>) {
    for (_, object) in world.all(TENANTS) {
        let (value, status) = (&object.value, &object.value["status"]);
        if value["spec"]["maxWorkers"].is_null() {
            continue;
        }
        let tenant = value["metadata"]["name"].as_str();
        let namespace = &value["metadata"]["namespace"];
        let held = world.all(WORKERS).filter(|(uid, object)| {
            let its = |worker: &Worker| worker.tenant.as_deref() == tenant && worker.is_active();
            object.value["metadata"]["namespace"] == *namespace
                && world.worker(uid).is_some_and(its)
        });
        let held: BTreeSet<&str> = held.map(|(uid, _)| uid).collect();
        let ledger = status["ledger"].as_array().into_iter().flatten();
        let entered: BTreeSet<&str> = ledger.filter_map(|e| e["workerUid"].as_str()).collect();
        if held != entered {
            let what = format!("it holds {held:?}, its ledger {entered:?}");
            tell(wrong, "L11", TENANTS, object, what);
        }
        if status["observedGeneration"] != value["metadata"]["generation"] {
            tell(wrong, "L11", TENANTS, object, "its cap is not said to hold");
        }
    }
}

fn serves(worker: &Worker) -> bool {
    use WorkerState::{Hot, HotIdle, Idle};
    matches!(worker.state, Some(Idle | Hot | HotIdle))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::line::SECRETS;
    use crate::story::Story;

    /// A live owner, and a worker of it that serves with its pod and its secret.
    fn at_rest() -> Story {
        let mut story = Story::new();
        story.lease("a", "active");
        story.worker("w").of_pool("p").owned("a", 1, "Idle");
        story.child(SECRETS, "w");
        story.child(crate::line::PODS, "w");
        story
    }

    fn pool(story: &mut Story, replicas: u64, max: u64) {
        let spec = json!({ "replicas": replicas, "maxWorkers": max });
        story.object("workerpools", "p", json!({ "spec": spec }));
    }

    fn claim(story: &mut Story, phase: &str) {
        let spec = json!({ "poolName": "p", "tenant": "t" });
        let status = json!({ "phase": phase });
        story.object("workerclaims", "c", json!({ "spec": spec, "status": status }));
    }

    fn tenant(story: &mut Story, used: u64) {
        let status = json!({ "used": used, "ledger": [] });
        story.object("tenants", "t", json!({ "spec": { "maxWorkers": 1 }, "status": status }));
    }

    #[test]
    fn a_full_pool_is_at_rest() {
        let mut story = at_rest();
        pool(&mut story, 1, 2);
        claim(&mut story, "Ready");
        for rule in ["END", "L1", "L3", "L4", "L5", "L6", "L11"] {
            story.kept_when_calm(rule);
        }
    }

    #[test]
    fn a_pool_is_filled_as_far_as_its_maximum_leaves_room() {
        let mut story = at_rest();
        pool(&mut story, 2, 1);
        story.kept_when_calm("L1");
        pool(&mut story, 2, 2);
        story.broke_when_calm("L1");
        pool(&mut story, 0, 2);
        story.broke_when_calm("L1");
    }

    #[test]
    fn a_claim_waits_for_a_worker_or_for_its_tenants_cap() {
        let mut story = at_rest();
        pool(&mut story, 1, 1);
        claim(&mut story, "Pending");
        story.broke_when_calm("L6");
        tenant(&mut story, 1);
        story.kept_when_calm("L6");
        claim(&mut story, "Bound");
        story.broke_when_calm("L6");
    }

    #[test]
    fn a_worker_is_free_again_when_its_claim_is_gone() {
        let mut story = at_rest();
        pool(&mut story, 0, 1);
        claim(&mut story, "Ready");
        story.worker("w").set("claim", "c").owned("a", 2, "Hot");
        story.kept_when_calm("L6");
        story.remove("workerclaims", "c");
        story.broke_when_calm("L6");
    }

    #[test]
    fn a_ledger_holds_what_its_tenant_holds() {
        let mut story = at_rest();
        tenant(&mut story, 0);
        story.kept_when_calm("L11");
        story.worker("w").set("tenant", "t").owned("a", 1, "Hot");
        story.broke_when_calm("L11");
    }

    #[test]
    fn what_serves_has_its_secret_and_nothing_stands_half_way() {
        let mut story = at_rest();
        story.delete(SECRETS, "w");
        story.broke_when_calm("END");
        let mut story = at_rest();
        story.worker("w").owned("a", 1, "Activating");
        story.broke_when_calm("END");
    }
}
