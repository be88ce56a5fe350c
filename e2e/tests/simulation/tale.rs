//! What a history tells people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use duckworker_sim::Version;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const WORKERS: &str = "duckworkers.duckworker.dev";
const POOLS: &str = "duckworkerpools.duckworker.dev";
const CLAIMS: &str = "duckworkerclaims.duckworker.dev";
const TENANTS: &str = "ducktenants.duckworker.dev";

/// How often each transition was recorded.
pub fn transitions(history: &[Arc<Version>]) -> BTreeMap<String, usize> {
    let mut seen = BTreeSet::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut refreshes = 0;
    let mut notes = 0;
    for version in history.iter().filter(|version| &*version.collection == WORKERS) {
        let status = &version.object["status"];
        let newest = &status["transitions"][0];
        if let Some(name) = newest["name"].as_str()
            && seen.insert((version.uid().to_owned(), newest.to_string()))
        {
            *counts.entry(name.to_owned()).or_default() += 1;
        } else if let Some(old) = &version.previous
            && old["status"]["writes"] != status["writes"]
        {
            // These two keep state and owner, so no record is made of them.
            let kept = old["status"]["ownerEpoch"] == status["ownerEpoch"];
            *(if kept { &mut notes } else { &mut refreshes }) += 1;
        }
    }
    let unrecorded = [("note", notes), ("refresh_lease", refreshes)];
    counts.extend(unrecorded.map(|(name, count)| (name.to_owned(), count)));
    counts.retain(|_, count| *count > 0);
    counts
}

/// How many claims were Ready once.
pub fn served(history: &[Arc<Version>]) -> usize {
    let claims = history.iter().filter(|version| &*version.collection == CLAIMS);
    let ready = claims.filter(|version| version.object["status"]["phase"] == "Ready");
    ready.map(|version| version.uid()).collect::<BTreeSet<_>>().len()
}

/// How many numbers pools gave to workers.
pub fn seats(history: &[Arc<Version>]) -> usize {
    let pools = history.iter().filter(|version| &*version.collection == POOLS);
    let taken = pools.flat_map(|version| {
        let taken = version.object["status"]["ordinals"]["taken"].as_array();
        taken.into_iter().flatten().filter_map(|seat| seat["uid"].as_str())
    });
    taken.collect::<BTreeSet<_>>().len()
}

/// How many workers were entered in ledgers.
pub fn entered(history: &[Arc<Version>]) -> usize {
    let tenants = history.iter().filter(|version| &*version.collection == TENANTS);
    let entries = tenants.flat_map(|version| {
        let ledger = version.object["status"]["ledger"].as_array();
        ledger.into_iter().flatten().filter_map(|entry| entry["workerUid"].as_str())
    });
    entries.collect::<BTreeSet<_>>().len()
}

/// A digest of every version. Two things in them are no seed's to decide: the keys and tokens in
/// secrets, and the names and times of Events, for which the library asks this machine's clock.
pub fn digest(history: &[Arc<Version>]) -> String {
    let mut digest = Sha256::new();
    for version in history {
        let mut object = Value::clone(&version.object);
        match &*version.collection {
            "secrets" => object["data"] = Value::Null,
            "events.events.k8s.io" => {
                object["eventTime"] = Value::Null;
                object["series"] = Value::Null;
                object["metadata"]["name"] = Value::Null;
            }
            _ => {}
        }
        let head =
            format!("{} {} {} {:?}", version.revision, version.at, version.by, version.change);
        digest.update(head);
        digest.update(object.to_string());
    }
    let mut text = String::new();
    for byte in digest.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Every change of workers, pods, secrets and Leases, a line each; renewals are left out.
pub fn story(history: &[Arc<Version>]) -> Vec<String> {
    history.iter().filter_map(|version| tell(version)).collect()
}

fn tell(version: &Version) -> Option<String> {
    let object = &version.object;
    let status = &object["status"];
    let what = match &*version.collection {
        POOLS => format!(
            "{} {} {}",
            object["spec"]["replicas"], object["spec"]["maxWorkers"], status["ordinals"]
        ),
        TENANTS => format!("{} of {}", status["used"], version.object["spec"]["maxWorkers"]),
        CLAIMS => format!("{} {}", status["phase"], status["worker"]["name"]),
        WORKERS => format!(
            "{} {} {} by {}",
            status["state"],
            status["ownerEpoch"],
            status["owner"],
            status["transitions"][0]["name"]
        ),
        "pods" => status["phase"].to_string(),
        "secrets" => String::new(),
        "leases.coordination.k8s.io" => {
            let told = |object: &Value| {
                let holder = object["spec"]["holderIdentity"].clone();
                (object["metadata"]["labels"].clone(), holder)
            };
            if version.previous.as_ref().is_some_and(|old| told(old) == told(object)) {
                return None;
            }
            format!("{} {}", object["metadata"]["labels"], object["spec"]["holderIdentity"])
        }
        _ => return None,
    };
    Some(format!(
        "{:.3} {} {:?} {} {} {what} by {}",
        version.at, version.revision, version.change, version.collection, version.name, version.by
    ))
}
