//! The garbage collector: deletes what lost its owners, and carries out foreground and orphaning
//! deletions.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{PAUSE, target};
use crate::chance::Chance;
use crate::core::Core;
use crate::meta;
use crate::store::{Key, Store};
use crate::verbs::{DeleteOptions, FOREGROUND, ORPHAN, Part, Server};

const NAME: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// Delete it, with this policy.
    Delete(&'static str),
    /// Take away references to these owners.
    Release(Vec<String>),
    /// Take away this finalizer.
    Finish(&'static str),
}

/// A step, and the object as it was seen.
struct Plan {
    collection: Arc<str>,
    key: Key,
    seen: Arc<Value>,
    step: Step,
}

/// Collects for ever.
pub async fn run(core: Arc<Core>, mut chance: Chance) {
    let mut moved = core.moved.subscribe();
    loop {
        moved.mark_unchanged();
        let mut plans = core.step(|server| plan(server));
        if plans.is_empty() {
            if moved.changed().await.is_err() {
                return;
            }
            continue;
        }
        // In any order: the real one has a queue and twenty workers.
        let plan = plans.swap_remove(chance.index(plans.len()));
        tokio::time::sleep(chance.between(PAUSE)).await;
        carry_out(&core, &plan);
    }
}

fn plan(server: &Server) -> Vec<Plan> {
    let store = &server.store;
    let mut dependents: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
    for (_, _, object) in store.iter() {
        for owner in meta::owners(object) {
            let uid = owner["uid"].as_str().unwrap_or_default().to_owned();
            dependents.entry(uid).or_default().push(Arc::clone(object));
        }
    }
    let mut plans = Vec::new();
    for (collection, key, object) in store.iter() {
        let step = as_owner(object, &dependents)
            .or_else(|| as_dependent(server, object, dependents_of(object, &dependents)));
        if let Some(step) = step {
            let (collection, key) = (Arc::clone(collection), key.clone());
            plans.push(Plan { collection, key, seen: Arc::clone(object), step });
        }
    }
    plans
}

fn dependents_of<'a>(
    object: &Value,
    dependents: &'a BTreeMap<String, Vec<Arc<Value>>>,
) -> &'a [Arc<Value>] {
    let uid = meta::text(object, "uid").unwrap_or_default();
    dependents.get(uid).map(Vec::as_slice).unwrap_or_default()
}

/// What is to be done with an object that waits for its dependents.
fn as_owner(object: &Value, dependents: &BTreeMap<String, Vec<Arc<Value>>>) -> Option<Step> {
    if !meta::is_deleting(object) {
        return None;
    }
    let own = dependents_of(object, dependents);
    let finalizers = meta::finalizers(object);
    if finalizers.iter().any(|f| f == ORPHAN) && own.is_empty() {
        return Some(Step::Finish(ORPHAN));
    }
    let uid = meta::text(object, "uid")?;
    let blocks = |dependent: &Arc<Value>| {
        let owners = meta::owners(dependent);
        owners.iter().any(|o| o["uid"] == uid && o["blockOwnerDeletion"] == true)
    };
    let waits = finalizers.iter().any(|f| f == FOREGROUND);
    (waits && !own.iter().any(blocks)).then_some(Step::Finish(FOREGROUND))
}

/// What is to be done with an object whose owners go or are gone.
fn as_dependent(server: &Server, object: &Value, own: &[Arc<Value>]) -> Option<Step> {
    let owners = meta::owners(object);
    if owners.is_empty() {
        return None;
    }
    let (mut solid, mut gone, mut waiting, mut letting_go) = (0, vec![], vec![], vec![]);
    for owner in &owners {
        let uid = owner["uid"].as_str().unwrap_or_default().to_owned();
        match find(server, object, owner) {
            None => gone.push(uid),
            Some(found) if !meta::is_deleting(&found) => solid += 1,
            Some(found) => {
                let finalizers = meta::finalizers(&found);
                if finalizers.iter().any(|f| f == ORPHAN) {
                    letting_go.push(uid);
                } else if finalizers.iter().any(|f| f == FOREGROUND) {
                    waiting.push(uid);
                } else {
                    solid += 1;
                }
            }
        }
    }
    if !letting_go.is_empty() {
        return Some(Step::Release(letting_go));
    }
    if solid > 0 {
        let ends = [gone, waiting].concat();
        return (!ends.is_empty()).then_some(Step::Release(ends));
    }
    if meta::is_deleting(object) {
        return None;
    }
    let has = |wanted: &str| meta::finalizers(object).iter().any(|f| f == wanted);
    Some(Step::Delete(match () {
        () if !waiting.is_empty() && !own.is_empty() => "Foreground",
        () if has(ORPHAN) => "Orphan",
        () if has(FOREGROUND) => "Foreground",
        () => "Background",
    }))
}

/// The owner itself: same namespace, same uid. Owners of kinds that are not served count as there.
fn find(server: &Server, object: &Value, owner: &Value) -> Option<Arc<Value>> {
    let text = |field: &str| owner[field].as_str().unwrap_or_default();
    let Some(kind) = server.kinds.named(text("apiVersion"), text("kind")) else {
        return Some(Arc::new(json!({})));
    };
    let home = if kind.namespaced { meta::text(object, "namespace").unwrap_or("") } else { "" };
    let key = (home.to_owned(), text("name").to_owned());
    let found = Store::get(&server.store, &kind.qualified(), &key)?;
    (meta::text(&found.object, "uid") == Some(text("uid"))).then(|| Arc::clone(&found.object))
}

/// Acts on the very version that was seen, or not at all.
fn carry_out(core: &Core, plan: &Plan) {
    let Some(target) = target(core, &plan.collection, &plan.key, NAME) else {
        return;
    };
    core.step(|server| {
        let seen = |field: &str| meta::text(&plan.seen, field).map(str::to_owned);
        let mut new = Value::clone(&plan.seen);
        match &plan.step {
            Step::Delete(policy) => {
                let options = DeleteOptions {
                    uid: seen("uid"),
                    resource_version: seen("resourceVersion"),
                    grace: None,
                    propagation: Some((*policy).to_owned()),
                };
                // A refusal means that it changed: it is looked at again.
                drop(server.delete(&target, &options));
                return;
            }
            Step::Release(uids) => {
                let kept: Vec<Value> = meta::owners(&new)
                    .into_iter()
                    .filter(|owner| !uids.iter().any(|uid| owner["uid"] == uid.as_str()))
                    .collect();
                if kept.is_empty() {
                    meta::unset(&mut new, "ownerReferences");
                } else {
                    meta::set(&mut new, "ownerReferences", kept);
                }
            }
            Step::Finish(finalizer) => {
                let mut finalizers = meta::finalizers(&new);
                finalizers.retain(|f| f != finalizer);
                meta::set_finalizers(&mut new, &finalizers);
            }
        }
        let Some(entry) = server.store.get(&plan.collection, &plan.key) else {
            return;
        };
        let old = Arc::clone(&entry.object);
        if old["metadata"]["uid"] == plan.seen["metadata"]["uid"] {
            drop(server.replace(&target, Part::Main, &old, new));
        }
    });
}
