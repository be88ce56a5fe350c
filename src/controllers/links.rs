//! What the controllers of one scope tell each other: a change that one of them sees concerns objects
//! of another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duckworker_api::pool::Disruption;
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_client::ServerClock;
use duckworker_core::{Tenant, Uid, WorkerState};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::claim::waiting::Waiting;
use super::pool::members::Members;
use super::pool::misses::AllMisses;
use super::tenant::holdings::Holdings;

/// What the controllers of one scope tell each other.
pub struct Links {
    /// The workers of each pool.
    pub members: Arc<Members>,
    /// Told of pools whose workers changed.
    pub changed_pools: UnboundedSender<ObjectRef<DuckWorkerPool>>,
    /// Told of workers that may have got their seats, got a claim, or lost it.
    pub seated_workers: UnboundedSender<ObjectRef<DuckWorker>>,
    /// The claims that wait.
    pub waiting: Arc<Waiting>,
    /// The claims that found no worker.
    pub misses: Arc<AllMisses>,
    clock: ServerClock,
    /// Told of claims whose workers changed, or that may get one.
    pub changed_claims: UnboundedSender<ObjectRef<DuckWorkerClaim>>,
    /// The workers of each tenant.
    pub holdings: Arc<Holdings>,
    /// Told of tenants whose workers ended.
    pub changed_tenants: UnboundedSender<ObjectRef<DuckTenant>>,
    /// Whether the pods of each pool may be evicted, as it was last seen.
    disruptions: Mutex<BTreeMap<Uid, Disruption>>,
}

/// What comes of what is told.
pub struct Ends {
    /// Pools whose workers changed.
    pub changed_pools: UnboundedReceiver<ObjectRef<DuckWorkerPool>>,
    /// Workers that may have got their seats, got a claim, or lost it.
    pub seated_workers: UnboundedReceiver<ObjectRef<DuckWorker>>,
    /// Claims whose workers changed, or that may get one.
    pub changed_claims: UnboundedReceiver<ObjectRef<DuckWorkerClaim>>,
    /// Tenants whose workers ended.
    pub changed_tenants: UnboundedReceiver<ObjectRef<DuckTenant>>,
}

/// How many claims of each tenant look for a worker that has come free: more than one, since the
/// first may be another instance's.
const HEADS: usize = 4;

impl Links {
    /// A pair of ends for each.
    pub fn new(clock: ServerClock) -> (Self, Ends) {
        let (changed_pools, pools) = unbounded_channel();
        let (seated_workers, workers) = unbounded_channel();
        let (changed_claims, claims) = unbounded_channel();
        let (changed_tenants, tenants) = unbounded_channel();
        let links = Self {
            members: Arc::default(),
            waiting: Arc::default(),
            misses: Arc::default(),
            clock,
            changed_pools,
            seated_workers,
            changed_claims,
            holdings: Arc::default(),
            changed_tenants,
            disruptions: Mutex::default(),
        };
        let ends = Ends {
            changed_pools: pools,
            seated_workers: workers,
            changed_claims: claims,
            changed_tenants: tenants,
        };
        (links, ends)
    }

    // Nobody listens to what is sent below only when this scope ends.

    /// The watch on workers told this: it concerns the worker's pool, the claim that it names, and
    /// those that wait for one like it.
    pub fn worker_followed(&self, event: &Event<DuckWorker>) {
        if let Event::InitDone = event {
            return self.workers_listed();
        }
        self.holdings.follow(event);
        let (Event::Apply(worker) | Event::InitApply(worker) | Event::Delete(worker)) = event
        else {
            self.members.follow(event);
            return;
        };
        let gone = matches!(event, Event::Delete(_));
        self.tell_tenant(worker, if gone { Presence::Gone } else { Presence::There });
        // Before the worker counts as taken: the claim must not count as waiting then.
        self.tell_waiting(worker);
        let before = self.members.claim_of(worker);
        let Some(pool) = self.members.follow(event) else { return };
        let namespace = worker.namespace().unwrap_or_default();
        let named = worker.status.as_ref().and_then(|status| status.claim.as_ref());
        let now = named.map(|claim| claim.name.clone());
        for claim in before.into_iter().chain(now).collect::<BTreeSet<_>>() {
            let _ = self.changed_claims.send(ObjectRef::new(&claim).within(&namespace));
        }
        let state = worker.status.as_ref().map_or("Pending", |status| &status.state);
        if matches!(state, "Idle" | "HotIdle") {
            for claim in self.waiting.heads(&namespace, &pool.name, HEADS) {
                let _ = self.changed_claims.send(claim);
            }
        }
        let _ = self.changed_pools.send(pool);
    }

    /// The watch on workers began anew. Who went while nobody watched is told by no event.
    fn workers_listed(&self) {
        for (namespace, tenant) in self.holdings.end_listing() {
            let _ = self.changed_tenants.send(ObjectRef::new(&tenant).within(&namespace));
        }
        for gone in self.members.end_listing() {
            let namespace = gone.pool.namespace.clone().unwrap_or_default();
            if let Some(claim) = gone.claim {
                let _ = self.changed_claims.send(ObjectRef::new(&claim).within(&namespace));
            }
            let _ = self.changed_pools.send(gone.pool);
        }
    }

    /// The same of claims: pools were to have workers for some that are gone, and workers serve some.
    fn claims_listed(&self) {
        for (namespace, pool) in self.waiting.end_listing() {
            let _ = self.changed_pools.send(ObjectRef::new(&pool).within(&namespace));
        }
        self.members.all_claimed().into_iter().for_each(|worker| self.tell_worker(worker));
    }

    /// The watch on claims told this: it concerns the pool, which may need more workers, and the
    /// worker that names the claim.
    pub fn claim_followed(&self, event: &Event<DuckWorkerClaim>) {
        self.misses.follow(event, self.clock.now());
        if let Event::InitDone = event {
            return self.claims_listed();
        }
        self.waiting.follow(event);
        let (Event::Apply(claim) | Event::InitApply(claim) | Event::Delete(claim)) = event else {
            return;
        };
        let namespace = claim.namespace().unwrap_or_default();
        let pool = ObjectRef::new(&claim.spec.pool_name).within(&namespace);
        let _ = self.changed_pools.send(pool);
        let uid = claim.uid().and_then(|uid| Uid::new(uid).ok());
        let naming = uid.map(|uid| self.members.claimed_by(&uid));
        let named = claim.status.as_ref().and_then(|status| status.worker.as_ref());
        let named = named.map(|worker| worker.name.clone());
        for worker in naming.into_iter().flatten().chain(named).collect::<BTreeSet<_>>() {
            let _ = self.seated_workers.send(ObjectRef::new(&worker).within(&namespace));
        }
    }

    /// A worker that names a claim serves it, though the claim's own status comes later: no pool
    /// shall start another for it meanwhile.
    fn tell_waiting(&self, worker: &DuckWorker) {
        let Some(status) = worker.status.as_ref() else { return };
        let claim = status.claim.as_ref().and_then(|claim| Uid::new(&claim.uid).ok());
        let (Some(claim), Ok(state)) = (claim, status.state.parse::<WorkerState>()) else { return };
        if state.is_condemned() {
            self.waiting.unserved(&claim);
        } else {
            self.waiting.served(&claim);
        }
    }

    /// A worker that is over gives its tenant room again.
    fn tell_tenant(&self, worker: &DuckWorker, presence: Presence) {
        let Some(status) = worker.status.as_ref() else { return };
        let over = status.state.parse().is_ok_and(WorkerState::is_terminal);
        if let Some(tenant) = status.tenant.as_ref().filter(|_| over || presence == Presence::Gone)
        {
            let namespace = worker.namespace().unwrap_or_default();
            let _ = self.changed_tenants.send(ObjectRef::new(tenant).within(&namespace));
        }
    }

    /// The watch on tenants told this. One that changed may have room for claims that wait, and for
    /// workers that are made for it; the workers of one that is gone may have to go, too.
    pub fn tenant_followed(&self, event: &Event<DuckTenant>) {
        match event {
            Event::Init => {}
            // Who went while nobody watched is told by no event.
            Event::InitDone => self.holdings.all().into_iter().for_each(|w| self.tell_worker(w)),
            Event::Apply(tenant) | Event::InitApply(tenant) => self.tenant_touched(tenant),
            Event::Delete(tenant) => {
                self.tenant_touched(tenant);
                let (namespace, name) = (tenant.namespace().unwrap_or_default(), tenant.name_any());
                for worker in self.holdings.of(&namespace, &name) {
                    self.tell_worker((namespace.clone(), worker));
                }
            }
        }
    }

    fn tell_worker(&self, (namespace, name): (String, String)) {
        let _ = self.seated_workers.send(ObjectRef::new(&name).within(&namespace));
    }

    fn tenant_touched(&self, tenant: &DuckTenant) {
        let (namespace, name) = (tenant.namespace().unwrap_or_default(), tenant.name_any());
        let Ok(tenant) = Tenant::new(&name) else { return };
        for (pool, claims) in self.waiting.heads_of(&namespace, &tenant, HEADS) {
            let _ = self.changed_pools.send(ObjectRef::new(&pool).within(&namespace));
            for claim in claims {
                let _ = self.changed_claims.send(ObjectRef::new(&claim).within(&namespace));
            }
        }
        for worker in self.holdings.awaiting(&namespace, &name) {
            self.tell_worker((namespace.clone(), worker));
        }
    }

    /// The watch on pools told this. Of one that changed, the workers that wait for their seats look
    /// again; all of them, if their pods are to be marked from now on. Nothing is remembered of one
    /// that is gone.
    pub fn pool_followed(&self, event: &Event<DuckWorkerPool>) {
        let (Event::Apply(pool) | Event::InitApply(pool) | Event::Delete(pool)) = event else {
            return;
        };
        let uid = pool.uid().and_then(|uid| Uid::new(uid).ok());
        let (Some(uid), Some(namespace)) = (uid, pool.namespace()) else { return };
        if let Event::Delete(_) = event {
            self.misses.pool_gone(&namespace, &pool.name_any());
            self.lock_disruptions().remove(&uid);
        } else {
            self.pool_touched(pool, &uid, &namespace);
        }
    }

    fn pool_touched(&self, pool: &DuckWorkerPool, uid: &Uid, namespace: &str) {
        for claim in self.waiting.heads(namespace, &pool.name_any(), 1) {
            // Why they wait may have changed.
            let _ = self.changed_claims.send(claim);
        }
        let mut concerned = self.members.pending(uid);
        if self.changes_marks(uid, pool.spec.disruption) {
            concerned = self.members.of(uid).into_iter().map(|member| member.name).collect();
        }
        for worker in concerned {
            self.tell_worker((namespace.to_owned(), worker));
        }
    }

    /// Whether the pods of a pool bear other marks from now on.
    fn changes_marks(&self, pool: &Uid, now: Disruption) -> bool {
        self.lock_disruptions().insert(pool.clone(), now).is_some_and(|before| before != now)
    }

    fn lock_disruptions(&self) -> MutexGuard<'_, BTreeMap<Uid, Disruption>> {
        self.disruptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an object is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    Gone,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    /// A worker of the pool `p` that serves the claim `c` of `acme`.
    fn worker() -> DuckWorker {
        object(json!({
            "metadata": { "name": "w", "namespace": "data", "uid": "w", "resourceVersion": "7",
                "ownerReferences": [{ "apiVersion": "duckworker.dev/v1alpha1", "name": "p",
                    "kind": "DuckWorkerPool", "uid": "pool-1", "controller": true }] },
            "spec": { "template": { "spec": { "containers": [{ "name": "duckdb", "image": "i" }] } } },
            "status": { "state": "Hot", "owner": "me", "ownerEpoch": 1, "tenant": "acme",
                "claim": { "name": "c", "uid": "c" } },
        }))
    }

    fn claim(name: &str) -> DuckWorkerClaim {
        object(json!({
            "metadata": { "name": name, "namespace": "data", "uid": name },
            "spec": { "poolName": "p", "tenant": "acme" },
            "status": { "phase": "Pending" },
        }))
    }

    fn drained<K: kube::Resource<DynamicType = ()>>(
        end: &mut UnboundedReceiver<ObjectRef<K>>,
    ) -> Vec<String> {
        std::iter::from_fn(|| end.try_recv().ok()).map(|object| object.name).collect()
    }

    #[test]
    fn a_claim_that_went_while_nobody_watched_concerns_its_pool_and_its_worker() {
        let (links, mut ends) = Links::new(ServerClock::default());
        links.worker_followed(&Event::Apply(worker()));
        links.claim_followed(&Event::Apply(claim("waits")));
        drained(&mut ends.changed_pools);
        drained(&mut ends.seated_workers);
        for event in [Event::Init, Event::InitDone] {
            links.claim_followed(&event);
        }
        assert_eq!(drained(&mut ends.changed_pools), ["p"]);
        assert_eq!(drained(&mut ends.seated_workers), ["w"]);
        assert!(links.waiting.tenants("data", "p").is_empty());
    }

    #[test]
    fn a_worker_that_went_while_nobody_watched_concerns_pool_claim_and_tenant() {
        let (links, mut ends) = Links::new(ServerClock::default());
        links.worker_followed(&Event::Apply(worker()));
        drained(&mut ends.changed_pools);
        drained(&mut ends.changed_claims);
        drained(&mut ends.changed_tenants);
        for event in [Event::Init, Event::InitDone] {
            links.worker_followed(&event);
        }
        assert_eq!(drained(&mut ends.changed_pools), ["p"]);
        assert_eq!(drained(&mut ends.changed_claims), ["c"]);
        assert_eq!(drained(&mut ends.changed_tenants), ["acme"]);
        assert!(links.holdings.of("data", "acme").is_empty());
    }

    #[test]
    fn what_is_listed_again_concerns_nobody_more_than_before() {
        let (links, mut ends) = Links::new(ServerClock::default());
        links.worker_followed(&Event::Apply(worker()));
        for event in [Event::Init, Event::InitApply(worker())] {
            links.worker_followed(&event);
        }
        drained(&mut ends.changed_pools);
        links.worker_followed(&Event::InitDone);
        assert!(drained(&mut ends.changed_pools).is_empty());
        assert!(drained(&mut ends.changed_tenants).is_empty());
    }
}
