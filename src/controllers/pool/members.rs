//! The workers of each pool, as the watch on workers shows them: kept by pool, so that a look at
//! one is no pass over all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use duckworker_api::DuckWorker;
use duckworker_api::DuckWorkerPool;
use duckworker_api::pool::parse;
use duckworker_core::pool::Member;
use duckworker_core::{Uid, Version, WorkerState};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use tokio::time::Instant;

use super::believed::{Entry, Known, Made};

/// All of them.
#[derive(Debug, Default)]
pub struct Members {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How often the watch began anew.
    listing: u64,
    pools: BTreeMap<Uid, BTreeMap<Uid, Entry>>,
    /// The pool of each worker: an orphaned one loses its reference.
    pool_of: BTreeMap<Uid, Uid>,
    /// The workers that name a claim: more than one, if two binders were at it.
    claimed: BTreeMap<Uid, BTreeSet<Uid>>,
}

/// A worker that went while nobody watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vanished {
    /// Its pool.
    pub pool: ObjectRef<DuckWorkerPool>,
    /// The name of its claim.
    pub claim: Option<String>,
}

impl Members {
    /// Takes in what the watch tells. Returns the pool that it concerns.
    pub fn follow(&self, event: &Event<DuckWorker>) -> Option<ObjectRef<DuckWorkerPool>> {
        let mut inner = self.lock();
        match event {
            Event::Init => {
                inner.listing += 1;
                None
            }
            // [`Self::end_listing`] tells more.
            Event::InitDone => None,
            Event::InitApply(worker) | Event::Apply(worker) => {
                let known = Known::Watched(inner.listing);
                inner.enter(worker, known);
                pool_ref(worker)
            }
            Event::Delete(worker) => {
                inner.remove(worker);
                pool_ref(worker)
            }
        }
    }

    /// The watch has listed all workers anew. Returns what those belonged to that went meanwhile: no
    /// event tells of them.
    pub fn end_listing(&self) -> Vec<Vanished> {
        self.lock().end_listing()
    }

    /// All workers that name a claim, by namespace and name.
    pub fn all_claimed(&self) -> Vec<(String, String)> {
        let inner = self.lock();
        let claimed: BTreeSet<&Uid> = inner.claimed.values().flatten().collect();
        let found = claimed.into_iter().filter_map(|worker| {
            let entry = inner.pools.get(inner.pool_of.get(worker)?)?.get(worker)?;
            Some((entry.pool.as_ref()?.namespace.clone()?, entry.member.name.clone()))
        });
        found.collect()
    }

    /// The claim that a worker was last seen to name.
    pub fn claim_of(&self, worker: &DuckWorker) -> Option<String> {
        let (uid, inner) = (uid_of(worker)?, self.lock());
        let entry = inner.pools.get(inner.pool_of.get(&uid)?)?.get(&uid)?;
        entry.member.claim.as_ref().map(|claim| claim.name.clone())
    }

    /// A worker that was made or read, and that the watch is yet to show.
    pub fn learn(&self, worker: &DuckWorker) {
        let mut inner = self.lock();
        let known = uid_of(worker).is_some_and(|uid| inner.pool_of.contains_key(&uid));
        if !known {
            inner.enter(worker, Known::Unseen(Instant::now()));
        }
    }

    /// This process ended the worker that it had seen in this version.
    pub fn ended(&self, worker: &Uid, version: &Version) {
        self.lock().made(worker, version, WorkerState::Retired);
    }

    /// This process claimed the worker that it had seen in this version.
    pub fn claimed(&self, worker: &Uid, version: &Version) {
        self.lock().made(worker, version, WorkerState::Reserved);
    }

    /// This process finished the activation of the worker that it had seen, or left, in this version.
    pub fn activated(&self, worker: &Uid, version: &Version) {
        self.lock().made(worker, version, WorkerState::Hot);
    }

    /// The workers of a pool that name a claim.
    pub fn naming(&self, pool: &Uid, claim: &Uid) -> Vec<Member> {
        let inner = self.lock();
        let workers = inner.claimed.get(claim).into_iter().flatten();
        let members = inner.pools.get(pool);
        let entries = workers.filter_map(|worker| members?.get(worker));
        entries.filter(|entry| entry.is_believed()).map(Entry::shown).collect()
    }

    /// The names of the workers that name a claim.
    pub fn claimed_by(&self, claim: &Uid) -> Vec<String> {
        let inner = self.lock();
        let workers = inner.claimed.get(claim).into_iter().flatten();
        workers.filter_map(|worker| inner.name_of(worker)).collect()
    }

    /// The name of a worker of any pool.
    pub fn name_of(&self, worker: &Uid) -> Option<String> {
        self.lock().name_of(worker)
    }

    /// The workers of a pool.
    pub fn of(&self, pool: &Uid) -> Vec<Member> {
        let inner = self.lock();
        let members = inner.pools.get(pool).into_iter().flat_map(BTreeMap::values);
        members.filter(|entry| entry.is_believed()).map(Entry::shown).collect()
    }

    /// The names of a pool's workers that nobody has taken yet.
    pub fn pending(&self, pool: &Uid) -> Vec<String> {
        let inner = self.lock();
        let members = inner.pools.get(pool).into_iter().flat_map(BTreeMap::values);
        let pending = members.filter(|entry| entry.member.state == WorkerState::Pending);
        pending.map(|entry| entry.member.name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn enter(&mut self, worker: &DuckWorker, known: Known) {
        let pool = parse::pool_of(&worker.metadata).map(|pool| pool.uid);
        let (Some(pool), Ok(member)) = (pool, parse::member(worker)) else {
            return self.remove(worker);
        };
        let members = self.pools.entry(pool.clone()).or_default();
        let version = Version::new(worker.resource_version().unwrap_or_default());
        let before = members.remove(&member.uid);
        let made = before.as_ref().and_then(|old| old.made.clone());
        let made = made.filter(|made| version <= made.of);
        let released = before.and_then(|entry| entry.member.claim);
        self.pool_of.insert(member.uid.clone(), pool);
        if let Some(claim) = &member.claim {
            self.claimed.entry(claim.uid.clone()).or_default().insert(member.uid.clone());
        }
        let (uid, kept) = (member.uid.clone(), member.claim.clone());
        let entry = Entry { member, pool: pool_ref(worker), known, version, made };
        members.insert(uid.clone(), entry);
        if let Some(claim) = released.filter(|old| kept.as_ref() != Some(old)) {
            self.unname(&claim.uid, &uid);
        }
    }

    /// What this process made of a version of a worker, unless the watch has shown a later one.
    fn made(&mut self, worker: &Uid, of: &Version, state: WorkerState) {
        let Some(pool) = self.pool_of.get(worker) else { return };
        let entry = self.pools.get_mut(pool).and_then(|members| members.get_mut(worker));
        if let Some(entry) = entry.filter(|entry| entry.version <= *of) {
            entry.made = Some(Made { state, of: of.clone(), since: Instant::now() });
        }
    }

    fn unname(&mut self, claim: &Uid, worker: &Uid) {
        if let Some(workers) = self.claimed.get_mut(claim) {
            workers.remove(worker);
            if workers.is_empty() {
                self.claimed.remove(claim);
            }
        }
    }

    fn name_of(&self, worker: &Uid) -> Option<String> {
        let entry = self.pools.get(self.pool_of.get(worker)?)?.get(worker)?;
        Some(entry.member.name.clone())
    }

    fn remove(&mut self, worker: &DuckWorker) {
        let Some(uid) = uid_of(worker) else { return };
        let Some(pool) = self.pool_of.remove(&uid) else { return };
        if let Some(members) = self.pools.get_mut(&pool) {
            let claim = members.remove(&uid).and_then(|entry| entry.member.claim);
            if members.is_empty() {
                self.pools.remove(&pool);
            }
            if let Some(claim) = claim {
                self.unname(&claim.uid, &uid);
            }
        }
    }

    /// What the new listing did not show is gone.
    fn end_listing(&mut self) -> Vec<Vanished> {
        let listing = self.listing;
        let mut vanished = Vec::new();
        for members in self.pools.values_mut() {
            let gone = members.extract_if(.., |_, entry| match entry.known {
                Known::Watched(seen) => seen != listing,
                Known::Unseen(_) => false,
            });
            vanished.extend(gone.filter_map(|(_, entry)| {
                let claim = entry.member.claim.map(|claim| claim.name);
                Some(Vanished { pool: entry.pool?, claim })
            }));
        }
        self.pools.retain(|_, members| !members.is_empty());
        let pools = &self.pools;
        self.pool_of.retain(|worker, pool| {
            pools.get(pool).is_some_and(|members| members.contains_key(worker))
        });
        let pool_of = &self.pool_of;
        self.claimed.retain(|_, workers| {
            workers.retain(|worker| pool_of.contains_key(worker));
            !workers.is_empty()
        });
        vanished
    }
}

fn uid_of(worker: &DuckWorker) -> Option<Uid> {
    Uid::new(worker.uid()?).ok()
}

fn pool_ref(worker: &DuckWorker) -> Option<ObjectRef<DuckWorkerPool>> {
    let pool = parse::pool_of(&worker.metadata)?;
    Some(ObjectRef::new(&pool.name).within(&worker.namespace()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::believed::BELIEVED;
    use super::*;

    fn worker(uid: &str, state: &str) -> DuckWorker {
        let mut status = json!({ "state": state });
        if state != "Pending" {
            status["owner"] = json!("me");
            status["ownerEpoch"] = json!(1);
        }
        let object = json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker",
            "metadata": { "name": uid, "namespace": "data", "uid": uid, "resourceVersion": "7", "ownerReferences": [{
                "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorkerPool", "name": "p",
                "uid": "pool-1", "controller": true }] },
            "spec": { "template": { "spec": { "containers": [{ "name": "duckdb", "image": "i" }] } } },
            "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    fn states(members: &Members) -> Vec<WorkerState> {
        let mut states: Vec<_> =
            members.of(&Uid::new("pool-1").unwrap()).into_iter().map(|m| m.state).collect();
        states.sort();
        states
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_made_is_believed_until_it_is_seen_or_old() {
        let members = Members::default();
        members.learn(&worker("w-1", "Pending"));
        assert_eq!(states(&members), [WorkerState::Pending]);
        tokio::time::advance(BELIEVED).await;
        assert_eq!(states(&members), [], "a read is the better witness");
        members.follow(&Event::Apply(worker("w-1", "Idle")));
        assert_eq!(states(&members), [WorkerState::Idle]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_ended_stays_so_while_the_watch_lags() {
        let members = Members::default();
        members.follow(&Event::Apply(worker("w-1", "Idle")));
        members.ended(&Uid::new("w-1").unwrap(), &Version::new("7"));
        members.follow(&Event::Apply(worker("w-1", "Idle")));
        assert_eq!(states(&members), [WorkerState::Retired]);
        // What the watch shows next is the truth: it may even be free again by then.
        let mut later = worker("w-1", "Idle");
        later.metadata.resource_version = Some("9".to_owned());
        members.follow(&Event::Apply(later));
        members.ended(&Uid::new("w-1").unwrap(), &Version::new("7"));
        assert_eq!(states(&members), [WorkerState::Idle]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_was_activated_is_hot_while_the_watch_lags_behind() {
        let members = Members::default();
        let uid = Uid::new("w-1").unwrap();
        members.follow(&Event::Apply(worker("w-1", "Reserved")));
        members.activated(&uid, &Version::new("8"));
        assert_eq!(states(&members), [WorkerState::Hot]);
        let mut later = worker("w-1", "Activating");
        later.metadata.resource_version = Some("8".to_owned());
        members.follow(&Event::Apply(later.clone()));
        assert_eq!(states(&members), [WorkerState::Hot], "it is what the activation was based on");
        later.metadata.resource_version = Some("9".to_owned());
        members.follow(&Event::Apply(later));
        assert_eq!(states(&members), [WorkerState::Activating], "somebody else writes, too");
    }

    #[test]
    fn a_new_listing_forgets_what_it_does_not_show() {
        let members = Members::default();
        for event in [
            Event::Init,
            Event::InitApply(worker("w-1", "Idle")),
            Event::InitApply(worker("w-2", "Idle")),
            Event::Init,
            Event::InitApply(worker("w-2", "Idle")),
        ] {
            members.follow(&event);
        }
        assert_eq!(states(&members).len(), 2, "it is not complete yet");
        assert_eq!(members.end_listing().len(), 1);
        assert_eq!(states(&members).len(), 1);
    }

    #[test]
    fn an_orphaned_worker_is_no_members_any_more() {
        let members = Members::default();
        members.follow(&Event::Apply(worker("w-1", "Idle")));
        let mut orphan = worker("w-1", "Idle");
        orphan.metadata.owner_references = None;
        members.follow(&Event::Apply(orphan));
        assert_eq!(states(&members), []);
    }
}
