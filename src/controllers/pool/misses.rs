//! The claims that found no worker, by pool, as the watch on claims shows them, and those of them that
//! were given up. Every instance keeps them, so whoever comes to lead knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use duckworker_api::DuckWorkerClaim;
use duckworker_api::claim::parse;
use duckworker_core::Uid;
use duckworker_core::plan::pool::demand::{self, Misses};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::watcher::Event;

/// A pool, by namespace and name.
type PoolName = (String, String);

/// All of them.
#[derive(Debug, Default)]
pub struct AllMisses {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    pools: BTreeMap<PoolName, Misses>,
    /// Claims that have been counted, while they wait, with their pool.
    counted: BTreeMap<Uid, PoolName>,
    /// Those that a listing that is under way has shown.
    listed: Option<BTreeSet<Uid>>,
}

impl AllMisses {
    /// Takes in what the watch tells now.
    pub fn follow(&self, event: &Event<DuckWorkerClaim>, now: Timestamp) {
        let mut inner = self.lock();
        match event {
            Event::Init => inner.listed = Some(BTreeSet::new()),
            Event::InitDone => {
                if let Some(listed) = inner.listed.take() {
                    let unlisted = |claim: &&Uid| !listed.contains(claim);
                    let gone: Vec<Uid> = inner.counted.keys().filter(unlisted).cloned().collect();
                    for claim in &gone {
                        inner.give_up(claim, now);
                    }
                }
            }
            Event::InitApply(claim) | Event::Apply(claim) => inner.see(claim, now),
            Event::Delete(claim) => {
                if let Some(uid) = uid_of(claim) {
                    inner.give_up(&uid, now);
                }
            }
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
    fn see(&mut self, object: &DuckWorkerClaim, now: Timestamp) {
        let Ok(claim) = parse::claim(object) else { return };
        let uid = claim.key.uid.clone();
        if let Some(listed) = self.listed.as_mut() {
            listed.insert(uid.clone());
        }
        match demand::missed(&claim) {
            Some(since) if !self.counted.contains_key(&uid) => {
                let pool = (claim.key.namespace.clone(), claim.pool.clone());
                self.pools.entry(pool.clone()).or_default().note(since);
                self.counted.insert(uid, pool);
            }
            // When it waits again, that is another miss.
            None if claim.status.worker.is_some() => drop(self.counted.remove(&uid)),
            None if !claim.waits() => self.give_up(&uid, now),
            _ => {}
        }
    }

    /// It waits no more, and got no worker.
    fn give_up(&mut self, claim: &Uid, now: Timestamp) {
        if let Some(pool) = self.counted.remove(claim) {
            self.pools.entry(pool).or_default().given_up.note(now);
        }
    }
}

fn uid_of(claim: &DuckWorkerClaim) -> Option<Uid> {
    claim.uid().and_then(|uid| Uid::new(uid).ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use duckworker_core::plan::pool::demand::BySecond;
    use duckworker_core::pool::DemandTerms;
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

    fn served() -> DuckWorkerClaim {
        let mut claim = serde_json::to_value(claim("a", "Ready", "Ready")).unwrap();
        claim["status"]["worker"] = json!({ "name": "w", "uid": "u-1", "ownerEpoch": 1 });
        serde_json::from_value(claim).unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn count(misses: &AllMisses) -> usize {
        let terms = DemandTerms { window: Duration::from_secs(100), max_extra: 99 };
        misses.of("data", "p").demand(&terms, now()).extra
    }

    #[test]
    fn a_claim_that_waits_is_one_miss_however_often_it_is_shown() {
        let misses = AllMisses::default();
        let waits = claim("a", "Pending", "PoolEmpty");
        let follow = |event| misses.follow(&event, now());
        follow(Event::Apply(waits.clone()));
        follow(Event::Apply(waits.clone()));
        follow(Event::Init);
        follow(Event::InitApply(waits.clone()));
        follow(Event::InitDone);
        assert_eq!(count(&misses), 1);
        follow(Event::Apply(served()));
        assert_eq!(count(&misses), 1, "it was a miss");
        follow(Event::Apply(waits.clone()));
        assert_eq!(count(&misses), 2, "its worker was lost, and again there was none");
        follow(Event::Delete(waits));
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
            misses.follow(&Event::Apply(claim(reason, phase, reason)), now());
        }
        assert_eq!(count(&misses), 0);
    }

    #[test]
    fn who_ends_without_a_worker_gave_up() {
        let gave_up = |events: Vec<Event<DuckWorkerClaim>>| {
            let misses = AllMisses::default();
            for event in &events {
                misses.follow(event, now());
            }
            misses.of("data", "p").given_up != BySecond::default()
        };
        let waits = || Event::Apply(claim("a", "Pending", "PoolEmpty"));
        let other = || claim("a", "Pending", "PoolAtMax");
        assert!(gave_up(vec![waits(), Event::Delete(other())]));
        assert!(gave_up(vec![waits(), Event::Apply(claim("a", "Failed", "Timeout"))]));
        assert!(gave_up(vec![waits(), Event::Init, Event::InitDone]), "while nobody watched");
        assert!(!gave_up(vec![waits(), Event::Apply(served()), Event::Delete(served())]));
        assert!(!gave_up(vec![Event::Apply(other()), Event::Delete(other())]), "none was started");
    }
}
