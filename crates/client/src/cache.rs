//! Watches. One object that cannot be decoded never blinds a watch: it is reported and treated as
//! not there, which for us means hands off.

mod departed;
mod readable;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBuilder;
use duckworker_api::decode::Decode;
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_core::{Uid, WorkerState};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, Stream, StreamExt};
use kube::core::{NamespaceResourceScope, ObjectMeta};
use kube::runtime::reflector::{self, Lookup, ObjectRef, Store};
use kube::runtime::watcher::ExponentialBackoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::watch;

use self::departed::Departed;
pub use self::readable::{Readable, Undecodable};
use crate::claims::ClaimSnapshot;
use crate::connection::Connection;
use crate::dice::Dice;
use crate::pools::PoolSnapshot;
use crate::status::Snapshot as _;
use crate::store::Stored;
use crate::tenants::TenantSnapshot;
use crate::token::WorkerSnapshot;

/// Reads objects of one kind from a watch cache. They may be old: what follows from them is decided
/// by a compare-and-swap on the very version seen, or read again.
///
/// A cache comes only together with the watch that fills it, so that a snapshot is always something
/// that the API server said.
#[derive(Clone)]
pub struct Cache<K: Lookup<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    is_filled: watch::Receiver<bool>,
    departed: Arc<Departed>,
}

/// Workers.
pub type WorkerCache = Cache<DuckWorker>;
/// Pools.
pub type PoolCache = Cache<DuckWorkerPool>;
/// Claims.
pub type ClaimCache = Cache<DuckWorkerClaim>;
/// Tenants.
pub type TenantCache = Cache<DuckTenant>;

/// A kind that can be kept in a cache.
pub trait Cached:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Default
    + Decode
    + Send
    + Sync
    + 'static
{
    /// What is read of it.
    type Snapshot;

    /// Drops what nobody reads.
    fn trim(&mut self);

    /// Parses it; none for a newer version's. Only a cache has the seal to ask for this: what
    /// somebody made up is no snapshot.
    fn snapshot(object: Arc<Self>, seal: Seal) -> Option<Self::Snapshot>;
}

/// Nobody outside of this file has one.
#[derive(Debug)]
pub struct Seal(());

impl<K: Cached> Cache<K> {
    /// A cache of the objects in a namespace (or in all), and the stream that keeps it filled while
    /// it is polled. The stream yields each object that was touched; `follow` is told of each event
    /// of the watch, after it is in the cache.
    pub fn follow<F>(
        connection: &Connection,
        namespace: Option<&str>,
        mut follow: F,
    ) -> (Self, impl Stream<Item = watcher::Result<K>> + Send + use<K, F>)
    where
        F: FnMut(&watcher::Event<K>) + Send + 'static,
    {
        let api: Api<Readable<K>> = scoped(&connection.client, namespace);
        let (store, writer) = reflector::store();
        let (filled, is_filled) = watch::channel(false);
        let departed = Arc::new(Departed::default());
        let known = Arc::clone(&departed);
        // Before the guard: what it puts in the place of an unreadable object is no end.
        let events = watcher(api, watcher::Config::default())
            .backoff(watch_backoff(&connection.dice))
            .inspect(move |event| known.follow(event));
        let events = guarded(events);
        let events = reflector::reflector(writer, events.modify(K::trim)).inspect(move |event| {
            let Ok(event) = event else { return };
            follow(event);
            if let watcher::Event::InitDone = event {
                filled.send_replace(true);
            }
        });
        (Self { store, is_filled, departed }, events.touched_objects())
    }

    /// Waits until the cache holds what the API server has. False: its watch ended before.
    ///
    /// The store's own wait is not for us: it wakes one waiter only, and that is the controller
    /// that runs on this cache.
    pub async fn wait_until_filled(&self) -> bool {
        self.is_filled.clone().wait_for(|filled| *filled).await.is_ok()
    }

    /// Moves whenever the cache was filled anew: at first, and after each gap of its watch. What
    /// came or went meanwhile is in it, or out of it, from then on, and told by no change.
    pub fn fillings(&self) -> watch::Receiver<bool> {
        self.is_filled.clone()
    }

    /// The object as last seen; `None` when it is not there or is a newer version's.
    pub fn get(&self, key: &ObjectRef<K>) -> Option<K::Snapshot> {
        K::snapshot(self.store.get(key)?, Seal(()))
    }

    /// The same by its name.
    pub fn named(&self, namespace: &str, name: &str) -> Option<K::Snapshot> {
        self.get(&ObjectRef::new(name).within(namespace))
    }

    /// All objects as last seen.
    pub fn all(&self) -> Vec<K::Snapshot> {
        self.select(|_| true)
    }

    /// Those that pass a glance at the raw object: cheaper than to parse thousands for the sake of
    /// a few.
    pub fn select(&self, glance: impl Fn(&K) -> bool) -> Vec<K::Snapshot> {
        let objects = self.store.state().into_iter();
        objects
            .filter(|object| glance(object))
            .filter_map(|object| K::snapshot(object, Seal(())))
            .collect()
    }

    /// Whether the watch told lately that the object with this uid was deleted. That is a proof, and
    /// spares a read: no uid is given twice. What is merely not in the cache may be still to come.
    pub fn saw_the_end_of(&self, uid: &Uid) -> bool {
        self.departed.has(uid)
    }

    /// The raw store, to read from.
    pub const fn store(&self) -> &Store<K> {
        &self.store
    }
}

impl Cached for DuckWorker {
    type Snapshot = WorkerSnapshot;

    /// Once a worker has its pod, its template is needed no more.
    fn trim(&mut self) {
        trim_meta(&mut self.metadata);
        if let Some(status) = self.status.as_mut() {
            status.transitions.shrink_to_fit();
            status.conditions.shrink_to_fit();
        }
        let state = self.status.as_ref().and_then(|s| s.state.parse::<WorkerState>().ok());
        let starts = matches!(state, None | Some(WorkerState::Pending | WorkerState::Spawning));
        if !starts {
            self.spec.template.trim();
        }
    }

    fn snapshot(object: Arc<Self>, _: Seal) -> Option<WorkerSnapshot> {
        match Stored::parse(Arc::clone(&object)) {
            Ok(stored) => Some(WorkerSnapshot::new(Arc::new(stored))),
            Err(error) => {
                let name = object.name_any();
                tracing::debug!(worker = name, %error, "left alone: this version cannot read it");
                None
            }
        }
    }
}

impl Cached for DuckWorkerPool {
    type Snapshot = PoolSnapshot;

    /// There are few.
    fn trim(&mut self) {}

    fn snapshot(object: Arc<Self>, _: Seal) -> Option<PoolSnapshot> {
        PoolSnapshot::parse(object).ok()
    }
}

impl Cached for DuckWorkerClaim {
    type Snapshot = ClaimSnapshot;

    fn trim(&mut self) {
        trim_meta(&mut self.metadata);
    }

    fn snapshot(object: Arc<Self>, _: Seal) -> Option<ClaimSnapshot> {
        ClaimSnapshot::parse(object).ok()
    }
}

impl Cached for DuckTenant {
    type Snapshot = TenantSnapshot;

    fn trim(&mut self) {
        trim_meta(&mut self.metadata);
    }

    fn snapshot(object: Arc<Self>, _: Seal) -> Option<TenantSnapshot> {
        TenantSnapshot::parse(object).ok()
    }
}

/// Drops of an object's metadata what a cache does not need. Not only cleared: a list keeps its room,
/// which for managed fields is a kilobyte.
fn trim_meta(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    meta.annotations = None;
}

impl<K: Cached> Debug for Cache<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("len", &self.store.len()).finish_non_exhaustive()
    }
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<Readable<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Waits, for any number of waiters, until a store holds what the API server has. False: its
/// watch ended before. A store's own wait wakes only the last one that asked.
pub type Filled = Shared<BoxFuture<'static, bool>>;

/// The wait for this store. Whoever waits must wait for a clone of this, and never for the store.
pub fn filled<K>(store: Store<K>) -> Filled
where
    K: Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    #[allow(clippy::disallowed_methods, reason = "the only one who asks the store itself")]
    async move { store.wait_until_ready().await.is_ok() }.boxed().shared()
}

/// How soon a watch that broke is begun anew: gently, and never so late that the end of an outage
/// goes unnoticed for long.
pub fn watch_backoff(dice: &Dice) -> ExponentialBackoff {
    ExponentialBackoff::from(
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(2))
            .with_jitter()
            .with_jitter_seed(dice.roll())
            .without_max_times(),
    )
}

/// A watch of one kind that goes on over objects that cannot be decoded, and backs off while the
/// server is ill.
pub fn guarded_watch<K>(
    api: Api<Readable<K>>,
    config: watcher::Config,
    dice: &Dice,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Decode + Default + Send + 'static,
{
    guarded(watcher(api, config).backoff(watch_backoff(dice)))
}

fn guarded<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<Readable<K>>>> + Send,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Default + Send + 'static,
{
    events.filter_map(async |event| match event {
        Ok(event) => unguard(event).map(Ok),
        Err(error) => Some(Err(error)),
    })
}

fn unguard<K>(event: watcher::Event<Readable<K>>) -> Option<watcher::Event<K>>
where
    K: Resource<DynamicType = ()> + Default,
{
    use watcher::Event;
    Some(match event {
        Event::Apply(Readable(Ok(object))) => Event::Apply(object),
        Event::InitApply(Readable(Ok(object))) => Event::InitApply(object),
        Event::Delete(Readable(Ok(object))) => Event::Delete(object),
        // Out of the cache with it: what we cannot read we do not act on.
        Event::Apply(Readable(Err(bad))) => {
            report::<K>(&bad.metadata, &bad.why);
            Event::Delete(stub(bad.metadata))
        }
        Event::Delete(Readable(Err(bad))) => Event::Delete(stub(bad.metadata)),
        Event::InitApply(Readable(Err(bad))) => {
            report::<K>(&bad.metadata, &bad.why);
            return None;
        }
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    })
}

fn report<K: Resource<DynamicType = ()>>(meta: &ObjectMeta, error: &str) {
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    tracing::warn!(kind = %K::kind(&()), ?namespace, ?name, error, "cannot be decoded; left alone");
}

fn stub<K: Resource<DynamicType = ()> + Default>(metadata: ObjectMeta) -> K {
    let mut object = K::default();
    *object.meta_mut() = metadata;
    object
}
