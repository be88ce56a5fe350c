//! S23: a tenant's cap. The ledger never grows past it by a claim; an entry goes only when its worker
//! is not the tenant's and cannot become it by the claim that the entry stands for; and where the cap
//! was always there, every worker that the tenant comes to hold stands in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use duckworker_core::plan::tenant::BELIEVED;
use jiff::Timestamp;
use serde_json::Value;

use crate::check::{Report, Rule, Step};
use crate::line::{Change, PODS, TENANTS, WORKERS};
use crate::world::elapsed;

/// What is remembered of tenants.
#[derive(Debug, Default)]
pub struct Tenants {
    /// Since when each tenant, by uid, has had a cap without a break.
    capped_since: BTreeMap<String, Timestamp>,
    /// Which worker was ever whose: the keeper's cache may show one that has ended since.
    assigned: BTreeSet<(String, String)>,
    /// Entries that went: worker and tenant, and the version that the claim was based on.
    dropped: BTreeMap<(String, String), u64>,
}

impl Rule for Tenants {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        match (step.version.collection.as_str(), step.version.change) {
            (TENANTS, Change::Deleted) => {
                self.capped_since.remove(step.uid());
            }
            (TENANTS, _) => self.tenant(step, report),
            (WORKERS, Change::Created | Change::Updated) => {
                if let Some(tenant) = step.version.object["status"]["tenant"].as_str() {
                    self.assigned.insert((step.uid().to_owned(), tenant.to_owned()));
                }
                self.worker(step, report);
            }
            _ => {}
        }
    }
}

impl Tenants {
    fn tenant(&mut self, step: &Step<'_>, report: &mut Report) {
        let new = &step.version.object;
        if cap(new).is_none() {
            self.capped_since.remove(step.uid());
        } else {
            self.capped_since.entry(step.uid().to_owned()).or_insert_with(|| step.at());
        }
        let Some(before) = step.world.object(TENANTS, step.uid()) else { return };
        let old = &before.value;
        let name = new["metadata"]["name"].as_str().unwrap_or_default();
        for entry in ledger(new) {
            let uid = entry_uid(entry);
            let key = (uid.to_owned(), name.to_owned());
            self.dropped.remove(&key);
            let known = ledger(old).find(|old| entry_uid(old) == uid);
            // Who entered it knows what became of his own claim.
            let anothers = known.filter(|known| known["by"] != entry["by"]);
            if anothers.is_some_and(|known| base(entry) < base(known)) {
                let what = format!("the entry of {uid} goes back to an older version");
                step.breaks(report, "S23", what);
            }
            let known = known.is_some();
            let full = cap(new).is_some_and(|cap| ledger(new).count() > cap);
            if !known && full && !self.assigned.contains(&key) {
                let (used, cap) = (ledger(new).count(), cap(new));
                let what = format!("{uid} makes {used} of {cap:?} and was never its");
                step.breaks(report, "S23", what);
            }
        }
        for entry in ledger(old) {
            let uid = entry_uid(entry);
            let stays = ledger(new).any(|new| entry_uid(new) == uid);
            if stays || cap(old).is_none() || cap(new).is_none() {
                continue;
            }
            if holds(step, name, uid) {
                step.breaks(report, "S23", format!("{uid} goes out of the ledger and is held"));
            }
            let key = (uid.to_owned(), name.to_owned());
            self.dropped.insert(key, base(entry));
        }
    }

    /// A worker that comes to be a tenant's.
    fn worker(&self, step: &Step<'_>, report: &mut Report) {
        let Some((before, after)) = step.worker else { return };
        let Some(tenant) = after.tenant.as_deref().filter(|_| before.tenant.is_none()) else {
            return;
        };
        let base = step.world.object(WORKERS, step.uid()).map(|before| before.revision);
        let key = (step.uid().to_owned(), tenant.to_owned());
        if base.is_some() && self.dropped.get(&key).copied() == base {
            step.breaks(report, "S23", "its claim lands after its entry was dropped");
        }
        let namespace = &step.version.object["metadata"]["namespace"];
        let is_it = |object: &Value| {
            object["metadata"]["name"] == tenant && object["metadata"]["namespace"] == *namespace
        };
        let mut declared = step.world.all(TENANTS).filter(|(_, object)| is_it(&object.value));
        let Some((uid, declared)) = declared.next() else { return };
        let Some(since) = self.capped_since.get(uid) else { return };
        // Who began before the cap was there may come so late.
        let patience: Duration = BELIEVED + step.settings.late;
        let entered = ledger(&declared.value).any(|entry| entry_uid(entry) == step.uid());
        if !entered && elapsed(*since, step.at()) > patience {
            step.breaks(report, "S23", format!("it is {tenant}'s and not in its ledger"));
        }
    }
}

/// Whether a worker counts as the tenant's: until its pod is gone.
fn holds(step: &Step<'_>, tenant: &str, uid: &str) -> bool {
    let Some(worker) = step.world.worker(uid) else { return false };
    let Some(object) = step.world.object(WORKERS, uid) else { return false };
    if worker.tenant.as_deref() != Some(tenant) {
        return false;
    }
    let over = matches!(object.value["status"]["state"].as_str(), Some("Retired" | "Lost"));
    let pod = object.value["status"]["pod"]["uid"].as_str();
    !over || pod.is_some_and(|pod| step.world.object(PODS, pod).is_some())
}

fn cap(tenant: &Value) -> Option<usize> {
    tenant["spec"]["maxWorkers"].as_u64().and_then(|cap| usize::try_from(cap).ok())
}

fn ledger(tenant: &Value) -> impl Iterator<Item = &Value> {
    tenant["status"]["ledger"].as_array().into_iter().flatten()
}

/// The version of the worker that the claim of an entry is based on.
fn base(entry: &Value) -> u64 {
    entry["baseVersion"].as_str().and_then(|base| base.parse().ok()).unwrap_or_default()
}

fn entry_uid(entry: &Value) -> &str {
    entry["workerUid"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::story::Story;

    fn tenant(cap: Option<u64>, ledger: &[(&str, u64)]) -> Value {
        let ledger: Vec<Value> = ledger
            .iter()
            .map(|(uid, base)| json!({ "workerUid": uid, "baseVersion": base.to_string() }))
            .collect();
        json!({ "spec": { "maxWorkers": cap }, "status": { "ledger": ledger } })
    }

    #[test]
    fn a_claim_keeps_the_cap() {
        let mut story = Story::new();
        story.object("tenants", "t", tenant(Some(1), &[]));
        story.object("tenants", "t", tenant(Some(1), &[("w", 1)]));
        story.kept("S23");
        story.object("tenants", "t", tenant(Some(1), &[("w", 1), ("v", 2)]));
        story.broke("S23");
    }

    #[test]
    fn what_is_held_already_is_recorded_cap_or_no_cap() {
        let mut story = Story::new();
        for worker in ["w", "v"] {
            story.worker(worker).owned("a", 1, "Idle");
            story.worker(worker).set("tenant", "t").owned("a", 2, "Reserved");
        }
        story.object("tenants", "t", tenant(Some(1), &[]));
        story.object("tenants", "t", tenant(Some(1), &[("w", 1), ("v", 2)]));
        story.kept("S23");
    }

    #[test]
    fn who_is_held_stays_in_the_ledger() {
        let mut story = Story::new();
        story.object("tenants", "t", tenant(Some(1), &[]));
        story.object("tenants", "t", tenant(Some(1), &[("w", 1)]));
        story.worker("w").owned("a", 1, "Idle");
        story.worker("w").set("tenant", "t").owned("a", 2, "Reserved");
        story.object("tenants", "t", tenant(Some(1), &[]));
        story.broke("S23");
    }

    #[test]
    fn an_entry_stays_while_its_claim_may_land() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Idle");
        // The Pending version, and then this one.
        story.object("tenants", "t", tenant(Some(1), &[]));
        story.object("tenants", "t", tenant(Some(1), &[("w", 2)]));
        story.object("tenants", "t", tenant(Some(1), &[]));
        story.worker("w").set("tenant", "t").owned("a", 2, "Reserved");
        story.broke("S23");
    }

    #[test]
    fn anothers_entry_never_goes_back_to_an_older_version() {
        let entered = |by: &str, base| {
            let mut tenant = tenant(Some(2), &[("w", base)]);
            tenant["status"]["ledger"][0]["by"] = json!(by);
            tenant
        };
        let mut story = Story::new();
        story.object("tenants", "t", entered("a", 7));
        story.object("tenants", "t", entered("b", 8));
        story.object("tenants", "t", entered("b", 6));
        story.kept("S23");
        story.object("tenants", "t", entered("a", 5));
        story.broke("S23");
    }

    #[test]
    fn who_comes_to_be_held_stands_in_the_ledger() {
        let mut story = Story::new();
        story.object("tenants", "t", tenant(Some(1), &[]));
        story.worker("w").owned("a", 1, "Idle");
        story.pass(60);
        story.worker("w").set("tenant", "t").owned("a", 2, "Reserved");
        story.broke("S23");
    }
}
