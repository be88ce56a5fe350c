//! The claims that found no worker, by pool, as the watch on claims shows them. Every instance keeps
//! them, so whoever comes to lead knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use duckworker_api::DuckWorkerClaim;
use duckworker_api::claim::parse;
use duckworker_core::Uid;
use duckworker_core::plan::pool::demand::{self, Misses};
use kube::ResourceExt;
use kube::runtime::watcher::Event;

/// All of them.
#[derive(Debug, Default)]
pub struct AllMisses {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By namespace and name of the pool.
    pools: BTreeMap<(String, String), Misses>,
    /// Claims that have been counted, while they wait.
    counted: BTreeSet<Uid>,
    /// Those that a listing that is under way has shown.
    listed: Option<BTreeSet<Uid>>,
}

impl AllMisses {
    /// Takes in what the watch tells.
    pub fn follow(&self, event: &Event<DuckWorkerClaim>) {
        let mut inner = self.lock();
        match event {
            Event::Init => inner.listed = Some(BTreeSet::new()),
            Event::InitDone => {
                if let Some(listed) = inner.listed.take() {
                    inner.counted.retain(|claim| listed.contains(claim));
                }
            }
            Event::InitApply(claim) | Event::Apply(claim) => inner.see(claim),
            Event::Delete(claim) => inner.forget(claim),
        }
    }

    /// Those of a pool.
    pub fn of(&self, namespace: &str, pool: &str) -> Misses {
        let key = (namespace.to_owned(), pool.to_owned());
        self.lock().pools.get(&key).cloned().unwrap_or_default()
    }

    /// The pool is gone.
    pub fn pool_gone(&self, namespace: &str, pool: &str) {
        self.lock().pools.remove(&(namespace.to_owned(), pool.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn see(&mut self, object: &DuckWorkerClaim) {
        let Ok(claim) = parse::claim(object) else { return };
        let uid = claim.key.uid.clone();
        if let Some(listed) = self.listed.as_mut() {
            listed.insert(uid.clone());
        }
        match demand::missed(&claim) {
            Some(since) if self.counted.insert(uid) => {
                let pool = (claim.key.namespace.clone(), claim.pool.clone());
                self.pools.entry(pool).or_default().note(since);
            }
            None if !claim.waits() => self.forget(object),
            _ => {}
        }
    }

    /// It waits no more; when it does again, that is another miss.
    fn forget(&mut self, claim: &DuckWorkerClaim) {
        if let Some(uid) = claim.uid().and_then(|uid| Uid::new(uid).ok()) {
            self.counted.remove(&uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use duckworker_core::pool::DemandTerms;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn claim(name: &str, phase: &str, reason: &str) -> DuckWorkerClaim {
        let claim = json!({
            "metadata": { "name": name, "namespace": "data", "uid": name, "generation": 1,
                          "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "poolName": "p", "tenant": "acme" },
            "status": { "phase": phase, "conditions": [{
                "type": "Ready", "status": if phase == "Ready" { "True" } else { "False" },
                "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
            }] },
        });
        serde_json::from_value(claim).unwrap()
    }

    fn count(misses: &AllMisses) -> usize {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let terms = DemandTerms { window: Duration::from_secs(100), max_extra: 99 };
        misses.of("data", "p").demand(&terms, now).extra
    }

    #[test]
    fn a_claim_that_waits_is_one_miss_however_often_it_is_shown() {
        let misses = AllMisses::default();
        let waits = claim("a", "Pending", "PoolEmpty");
        misses.follow(&Event::Apply(waits.clone()));
        misses.follow(&Event::Apply(waits.clone()));
        misses.follow(&Event::Init);
        misses.follow(&Event::InitApply(waits.clone()));
        misses.follow(&Event::InitDone);
        assert_eq!(count(&misses), 1);
        misses.follow(&Event::Apply(claim("a", "Ready", "Ready")));
        assert_eq!(count(&misses), 1, "it was a miss");
        misses.follow(&Event::Apply(waits.clone()));
        assert_eq!(count(&misses), 2, "its worker was lost, and again there was none");
        misses.follow(&Event::Delete(waits));
        assert_eq!(count(&misses), 2);
        misses.pool_gone("data", "p");
        assert_eq!(count(&misses), 0);
    }

    #[test]
    fn only_those_count_that_a_warmer_pool_would_have_served() {
        let misses = AllMisses::default();
        for (phase, reason) in
            [("Pending", "PoolAtMax"), ("Pending", "ImagePullFailed"), ("Bound", "Activating")]
        {
            misses.follow(&Event::Apply(claim(reason, phase, reason)));
        }
        assert_eq!(count(&misses), 0);
    }
}
