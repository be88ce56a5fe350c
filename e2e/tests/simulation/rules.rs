//! Rules that every history keeps, checked in the order of the revisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use duckworker_api::labels::WORKER_UID;
use duckworker_core::WorkerState;
use duckworker_core::edges::edges;
use duckworker_sim::{Change, Version};
use serde_json::Value;

const WORKERS: &str = "duckworkers.duckworker.dev";

/// What the history says of each worker so far.
#[derive(Default)]
struct Ledger {
    /// The newest version of each worker, by uid; gone ones stay.
    workers: BTreeMap<String, Value>,
    /// The workers that are gone.
    gone: BTreeSet<String>,
    /// The pods that each worker had, by uid.
    pods: BTreeMap<String, BTreeSet<String>>,
    /// Pods and secrets that are there: collection and uid, of which worker.
    children: BTreeMap<(String, String), String>,
    /// Every (worker, epoch) and its owner.
    owners: BTreeMap<(String, i64), String>,
    wrong: Vec<String>,
}

/// Checks a history.
pub fn check(history: &[Arc<Version>]) -> Vec<String> {
    let mut ledger = Ledger::default();
    for version in history {
        match &*version.collection {
            WORKERS => ledger.worker(version),
            "pods" | "secrets" => ledger.child(version),
            _ => {}
        }
    }
    ledger.wrong
}

/// How often each transition was recorded.
pub fn transitions(history: &[Arc<Version>]) -> BTreeMap<String, usize> {
    let mut seen = BTreeSet::new();
    for version in history.iter().filter(|version| &*version.collection == WORKERS) {
        let newest = &version.object["status"]["transitions"][0];
        if let Some(name) = newest["name"].as_str() {
            let count = version.object["status"]["writes"]["seq"].as_i64().unwrap_or(0);
            seen.insert((version.uid().to_owned(), newest.to_string(), name.to_owned(), count));
        }
    }
    let mut distinct: BTreeSet<(String, String, String)> = BTreeSet::new();
    distinct.extend(seen.into_iter().map(|(uid, entry, name, _)| (uid, entry, name)));
    distinct.into_iter().fold(BTreeMap::new(), |mut all, (_, _, name)| {
        *all.entry(name).or_default() += 1;
        all
    })
}

/// Every change of workers, pods, secrets and Leases, a line each; renewals are left out.
pub fn story(history: &[Arc<Version>]) -> Vec<String> {
    let mut lines = Vec::new();
    for version in history {
        let object = &version.object;
        let what = match &*version.collection {
            WORKERS => format!(
                "{} {} {}",
                object["status"]["state"],
                object["status"]["ownerEpoch"],
                object["status"]["owner"]
            ),
            "pods" => object["status"]["phase"].to_string(),
            "secrets" => String::new(),
            "leases.coordination.k8s.io" => {
                let labels = |object: &Value| object["metadata"]["labels"].clone();
                if version.previous.as_ref().is_some_and(|old| labels(old) == labels(object)) {
                    continue;
                }
                format!("{} {}", labels(object), object["spec"]["holderIdentity"])
            }
            _ => continue,
        };
        lines.push(format!(
            "{:.3} {:?} {} {} {what} by {}",
            version.at, version.change, version.collection, version.name, version.by
        ));
    }
    lines
}

impl Ledger {
    fn note(&mut self, version: &Version, rule: &str, what: &str) {
        self.wrong.push(format!(
            "{rule}: {} {} at {}: {what} (by {})",
            version.collection, version.name, version.revision, version.by
        ));
    }

    fn worker(&mut self, version: &Version) {
        let uid = version.uid().to_owned();
        if version.change == Change::Deleted {
            if let Some((child, _)) = self.children.iter().find(|(_, owner)| **owner == uid) {
                let what = format!("gone before its {} {}", child.0, child.1);
                self.note(version, "S13", &what);
            }
            self.gone.insert(uid);
            return;
        }
        let new = Value::clone(&version.object);
        if let Some(old) = self.workers.get(&uid).cloned() {
            self.compare(version, &old, &new);
        }
        let owner = new["status"]["owner"].as_str().unwrap_or_default().to_owned();
        let epoch = epoch(&new);
        let known = self.owners.entry((uid.clone(), epoch)).or_insert_with(|| owner.clone());
        if *known != owner {
            let what = format!("epoch {epoch} has the owners {known} and {owner}");
            self.note(version, "S1", &what);
        }
        self.workers.insert(uid, new);
    }

    fn compare(&mut self, version: &Version, old: &Value, new: &Value) {
        let rise = epoch(new) - epoch(old);
        if !(0..=1).contains(&rise) {
            self.note(version, "S1", &format!("the epoch rises by {rise}"));
        }
        if old["status"] == new["status"] {
            return;
        }
        if old["status"]["owner"] != new["status"]["owner"] && rise != 1 {
            self.note(version, "S1", "the owner changes without the epoch");
        }
        match (state(old), state(new)) {
            (Some(from), Some(to)) => {
                let rises = rise == 1;
                let fits = |edge: &duckworker_core::edges::Edge| {
                    (edge.from, edge.to, edge.epoch_rises) == (from, to, rises)
                };
                // Before the first owner only conditions may change.
                let noted = from == to && !rises && from == WorkerState::Pending;
                if !noted && !edges().iter().any(fits) {
                    self.note(version, "S2", &format!("{from} → {to}, epoch + {rise}"));
                }
            }
            _ => self.note(version, "S2", "a state that is none"),
        }
        let tenant = |object: &Value| object["status"]["tenant"].clone();
        if !tenant(old).is_null() && tenant(old) != tenant(new) {
            self.note(version, "S11", "the tenant changes");
        }
    }

    fn child(&mut self, version: &Version) {
        let Some(owner) = version.object["metadata"]["labels"][WORKER_UID].as_str() else { return };
        let (owner, uid) = (owner.to_owned(), version.uid().to_owned());
        let key = (version.collection.to_string(), uid.clone());
        match version.change {
            Change::Created => {
                self.children.insert(key, owner.clone());
                if &*version.collection == "pods" {
                    let pods = self.pods.entry(owner.clone()).or_default();
                    pods.insert(uid);
                    if pods.len() > 1 {
                        self.note(version, "S9", "a second pod of the same worker");
                    }
                }
            }
            Change::Updated => {}
            Change::Deleted => {
                self.children.remove(&key);
                self.deleted(version, &owner);
            }
        }
    }

    /// Pods and secrets go only when their worker is condemned, deleted or gone.
    fn deleted(&mut self, version: &Version, owner: &str) {
        let by_us = version.by.starts_with("system:serviceaccount:default:duckworker");
        let Some(worker) = self.workers.get(owner).filter(|_| !self.gone.contains(owner)) else {
            return;
        };
        let deleting = worker["metadata"]["deletionTimestamp"].is_string();
        let condemned = state(worker).is_some_and(WorkerState::is_condemned);
        if by_us && !deleting && !condemned {
            let what = format!("deleted while its worker is {:?}", state(worker));
            self.note(version, "S7", &what);
        }
    }
}

fn epoch(worker: &Value) -> i64 {
    worker["status"]["ownerEpoch"].as_i64().unwrap_or(0)
}

fn state(worker: &Value) -> Option<WorkerState> {
    worker["status"]["state"].as_str()?.parse().ok()
}
