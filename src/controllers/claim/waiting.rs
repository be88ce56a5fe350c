//! The claims that wait, by pool, as the watch on claims shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duckworker_api::DuckWorkerClaim;
use duckworker_api::claim::parse;
use duckworker_client::ClaimSnapshot;
use duckworker_core::claim::Claim;
use duckworker_core::plan::binding::queue::{Free, Place, Queue};
use duckworker_core::{Image, Tenant, Uid};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use tokio::time::Instant;

/// A watch lags for milliseconds. After this long what it shows is the better witness.
const BELIEVED: Duration = Duration::from_secs(10);

/// A pool, by namespace and name.
type PoolName = (String, String);

/// All of them.
#[derive(Debug, Default)]
pub struct Waiting {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How often the watch began anew.
    listing: u64,
    queues: BTreeMap<PoolName, Queue>,
    claims: BTreeMap<Uid, Entry>,
}

#[derive(Debug)]
struct Entry {
    pool: PoolName,
    tenant: Tenant,
    place: Place,
    listing: u64,
    /// When a worker was known to name it, while its own status has not shown that.
    served: Option<Instant>,
    /// The worker that its connection secret was made for.
    connected: Option<Uid>,
    /// As this process wrote it last.
    written: Option<ClaimSnapshot>,
}

impl Waiting {
    /// Takes in what the watch tells.
    pub fn follow(&self, event: &Event<DuckWorkerClaim>) {
        let mut inner = self.lock();
        match event {
            Event::Init => inner.listing += 1,
            // [`Self::end_listing`] tells more.
            Event::InitDone => {}
            Event::InitApply(claim) | Event::Apply(claim) => match parse::claim(claim) {
                Ok(parsed) if parsed.waits() => inner.enter(&parsed),
                Ok(parsed) if parsed.status.worker.is_some() => inner.end(claim, Queue::serve),
                _ => inner.end(claim, Queue::leave),
            },
            Event::Delete(claim) => inner.end(claim, Queue::leave),
        }
    }

    /// The watch has listed all claims anew. Returns the pools that lost claims meanwhile: no event
    /// tells of those.
    pub fn end_listing(&self) -> BTreeSet<(String, String)> {
        self.lock().end_listing()
    }

    /// A claim has a worker, which names it. What the claim itself says comes later.
    pub fn served(&self, claim: &Uid) {
        let mut inner = self.lock();
        inner.withdraw(claim, Queue::serve);
    }

    /// The worker that named a claim is lost again. If the claim still waits, it does so in its old
    /// place.
    pub fn unserved(&self, claim: &Uid) {
        self.lock().unserve(claim);
    }

    /// Whether a claim has a worker, which its own status is yet to show. If it does
    /// not in time, the claim waits again.
    pub fn is_served(&self, claim: &Uid) -> bool {
        let mut inner = self.lock();
        let served = inner.claims.get(claim).and_then(|entry| entry.served);
        if served.is_some_and(|since| since.elapsed() < BELIEVED) {
            return true;
        }
        inner.unserve(claim);
        false
    }

    /// This process wrote a claim. The watch is yet to show it.
    pub fn wrote(&self, claim: &ClaimSnapshot) {
        if let Some(entry) = self.lock().claims.get_mut(&claim.claim().key.uid) {
            entry.written = Some(claim.clone());
        }
    }

    /// The newer of what was seen of a claim and what this process wrote.
    pub fn newest(&self, seen: ClaimSnapshot) -> ClaimSnapshot {
        let inner = self.lock();
        let entry = inner.claims.get(&seen.claim().key.uid);
        match entry.and_then(|entry| entry.written.clone()) {
            Some(written) => seen.newer(written),
            None => seen,
        }
    }

    /// The connection secret of a claim was made for this worker.
    pub fn connected(&self, claim: &Uid, worker: &Uid) {
        if let Some(entry) = self.lock().claims.get_mut(claim) {
            entry.connected = Some(worker.clone());
        }
    }

    /// Whether the connection secret of a claim that is not Ready yet was made for this worker.
    pub fn is_connected(&self, claim: &Uid, worker: &Uid) -> bool {
        let inner = self.lock();
        inner.claims.get(claim).is_some_and(|entry| entry.connected.as_ref() == Some(worker))
    }

    /// The tenants whose claims wait for workers of a pool.
    pub fn tenants(&self, namespace: &str, pool: &str) -> BTreeSet<Tenant> {
        self.lock().queue(namespace, pool).map_or_else(BTreeSet::new, Queue::tenants)
    }

    /// How many workers of a pool could be given to those that wait, of each version, beside those
    /// that are parked for them.
    pub fn demand(&self, namespace: &str, pool: &str, free: &Free<'_>) -> BTreeMap<Image, usize> {
        let inner = self.lock();
        inner.queue(namespace, pool).map_or_else(BTreeMap::new, |queue| queue.demand(free))
    }

    /// The pools that a tenant's claims wait for, and the first of those claims.
    pub fn heads_of(
        &self,
        namespace: &str,
        tenant: &Tenant,
        of_each: usize,
    ) -> Vec<(String, Vec<String>)> {
        let inner = self.lock();
        let own = inner.queues.iter().filter(|((within, _), _)| within == namespace);
        own.map(|((_, pool), queue)| (pool.clone(), queue.heads_of(tenant, of_each)))
            .filter(|(_, heads)| !heads.is_empty())
            .collect()
    }

    /// How many claims of the same tenant are before this one.
    pub fn before(&self, claim: &Claim) -> usize {
        let inner = self.lock();
        let queue = inner.queue(&claim.key.namespace, &claim.pool);
        queue.map_or(0, |queue| queue.before(&claim.tenant, &place(claim)))
    }

    /// The worker whose turn it is for this claim; none if it must wait.
    pub fn worker_for(&self, claim: &Claim, free: &Free<'_>) -> Option<Uid> {
        let inner = self.lock();
        let queue = inner.queue(&claim.key.namespace, &claim.pool)?;
        queue.worker_for(&claim.tenant, &place(claim), free).cloned()
    }

    /// The claims that a worker that has come free may concern.
    pub fn heads(
        &self,
        namespace: &str,
        pool: &str,
        of_each: usize,
    ) -> Vec<ObjectRef<DuckWorkerClaim>> {
        let inner = self.lock();
        let heads = inner.queue(namespace, pool).map(|queue| queue.heads(of_each));
        let heads = heads.into_iter().flatten();
        heads.map(|name| ObjectRef::new(&name).within(namespace)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(claim: &Claim) -> Place {
    (claim.created, claim.key.name.clone())
}

impl Inner {
    fn queue(&self, namespace: &str, pool: &str) -> Option<&Queue> {
        self.queues.get(&(namespace.to_owned(), pool.to_owned()))
    }

    fn enter(&mut self, claim: &Claim) {
        let listing = self.listing;
        if let Some(entry) = self.claims.get_mut(&claim.key.uid) {
            entry.listing = listing;
            return;
        }
        let entry = Entry {
            pool: (claim.key.namespace.clone(), claim.pool.clone()),
            tenant: claim.tenant.clone(),
            place: place(claim),
            listing,
            served: None,
            connected: None,
            written: None,
        };
        let queue = self.queues.entry(entry.pool.clone()).or_default();
        queue.enter(entry.tenant.clone(), entry.place.clone());
        self.claims.insert(claim.key.uid.clone(), entry);
    }

    fn end(&mut self, claim: &DuckWorkerClaim, how: fn(&mut Queue, &Tenant, &Place)) {
        let uid = claim.uid().and_then(|uid| Uid::new(uid).ok());
        let Some(uid) = uid else { return };
        self.withdraw(&uid, how);
        self.claims.remove(&uid);
    }

    /// Out of its queue, but known until the watch shows why.
    fn withdraw(&mut self, claim: &Uid, how: fn(&mut Queue, &Tenant, &Place)) {
        let Some(entry) = self.claims.get_mut(claim).filter(|entry| entry.served.is_none()) else {
            return;
        };
        entry.served = Some(Instant::now());
        if let Some(queue) = self.queues.get_mut(&entry.pool) {
            how(queue, &entry.tenant, &entry.place);
            if queue.is_empty() {
                self.queues.remove(&entry.pool);
            }
        }
    }

    fn unserve(&mut self, claim: &Uid) {
        let Some(entry) = self.claims.get_mut(claim).filter(|entry| entry.served.is_some()) else {
            return;
        };
        entry.served = None;
        let (pool, tenant, place) = (entry.pool.clone(), entry.tenant.clone(), entry.place.clone());
        self.queues.entry(pool).or_default().enter(tenant, place);
    }

    /// What the new listing did not show waits no more. Returns their pools.
    fn end_listing(&mut self) -> BTreeSet<PoolName> {
        let listing = self.listing;
        let (stay, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.claims)
            .into_iter()
            .partition(|(_, entry)| entry.listing == listing);
        self.claims = stay;
        let mut pools = BTreeSet::new();
        for entry in gone.into_values().filter(|entry| entry.served.is_none()) {
            if let Some(queue) = self.queues.get_mut(&entry.pool) {
                queue.leave(&entry.tenant, &entry.place);
            }
            pools.insert(entry.pool);
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        pools
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::ready;

    use duckworker_client::{ClaimCache, Connection};
    use futures::StreamExt as _;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower::service_fn;

    use super::*;

    fn claim(name: &str, phase: &str) -> DuckWorkerClaim {
        let object = json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorkerClaim",
            "metadata": { "name": name, "namespace": "data", "uid": name },
            "spec": { "poolName": "p", "tenant": "acme" },
            "status": { "phase": phase },
        });
        serde_json::from_value(object).unwrap()
    }

    fn waits(waiting: &Waiting) -> Vec<String> {
        let tenant = Tenant::new("acme").unwrap();
        waiting.heads_of("data", &tenant, 9).into_iter().flat_map(|(_, claims)| claims).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_a_worker_names_waits_no_more_until_that_is_lost() {
        let waiting = Waiting::default();
        for name in ["a", "b"] {
            waiting.follow(&Event::Apply(claim(name, "Pending")));
        }
        let first = Uid::new("a").unwrap();
        waiting.served(&first);
        assert_eq!(waits(&waiting), ["b"]);
        waiting.unserved(&first);
        assert_eq!(waits(&waiting), ["a", "b"], "in its old place");
        waiting.served(&first);
        waiting.follow(&Event::Apply(claim("a", "Ready")));
        waiting.unserved(&first);
        assert_eq!(waits(&waiting), ["b"], "it has a worker");
    }

    /// A claim as the API server answers: of this uid and version, which its generation tells.
    async fn read(name: &str, uid: &str, version: i64) -> ClaimSnapshot {
        let mut object = serde_json::to_value(claim(name, "Pending")).unwrap();
        object["metadata"]["uid"] = json!(uid);
        object["metadata"]["generation"] = json!(version);
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let list =
            json!({ "metadata": { "resourceVersion": "99" }, "items": [object] }).to_string();
        let server = service_fn(move |_: Request<Body>| {
            ready(Ok::<_, Infallible>(Response::new(Body::from(list.clone().into_bytes()))))
        });
        let connection = Connection::over(server, "data");
        let (cache, changes) = ClaimCache::follow(&connection, Some("data"), |_| {});
        let mut changes = std::pin::pin!(changes);
        while cache.named("data", name).is_none() {
            assert!(changes.next().await.is_some(), "the watch ended");
        }
        cache.named("data", name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_this_process_wrote_is_believed_until_the_watch_has_caught_up() {
        let waiting = Waiting::default();
        let shown =
            async |uid, version| waiting.newest(read("a", uid, version).await).claim().generation;
        waiting.wrote(&read("a", "a", 7).await);
        assert_eq!(shown("a", 5).await, 5, "it does not wait: nothing is kept of it");
        waiting.follow(&Event::Apply(claim("a", "Pending")));
        assert_eq!(shown("a", 5).await, 5, "nothing was written");
        waiting.wrote(&read("a", "a", 7).await);
        assert_eq!(shown("a", 5).await, 7, "the watch lags");
        assert_eq!(shown("a", 9).await, 9, "somebody else wrote since");
        assert_eq!(shown("b", 5).await, 5, "another claim of the same name");
        waiting.follow(&Event::Apply(claim("a", "Pending")));
        assert_eq!(shown("a", 5).await, 7, "it still waits");
        waiting.follow(&Event::Delete(claim("a", "Pending")));
        assert_eq!(shown("a", 5).await, 5, "it is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_claim_never_says_is_not_believed_for_long() {
        let waiting = Waiting::default();
        waiting.follow(&Event::Apply(claim("a", "Pending")));
        let uid = Uid::new("a").unwrap();
        waiting.served(&uid);
        assert!(waiting.is_served(&uid));
        tokio::time::advance(BELIEVED).await;
        assert!(!waiting.is_served(&uid));
        assert_eq!(waits(&waiting), ["a"]);
    }
}
