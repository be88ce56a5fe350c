//! Watches. One object that cannot be decoded never blinds a watch: it is reported and treated as
//! not there, which for us means hands off.

use std::fmt::Debug;
use std::sync::Arc;

use duckworker_api::DuckWorker;
use futures::{Stream, StreamExt};
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::store::Stored;
use crate::token::WorkerSnapshot;

/// Reads workers from a watch cache. The snapshots may be old: what follows from them is decided
/// by a compare-and-swap on the very version seen, or read again.
#[derive(Clone)]
pub struct WorkerCache {
    store: Store<DuckWorker>,
}

impl WorkerCache {
    /// Reads from this reflector, which is filled by [`guarded_watch`].
    pub const fn new(store: Store<DuckWorker>) -> Self {
        Self { store }
    }

    /// The worker as last seen; `None` when it is not there or is a newer version's.
    pub fn get(&self, key: &ObjectRef<DuckWorker>) -> Option<WorkerSnapshot> {
        let object = self.store.get(key)?;
        snapshot(&object)
    }

    /// All workers as last seen.
    pub fn all(&self) -> Vec<WorkerSnapshot> {
        self.store.state().iter().filter_map(|object| snapshot(object)).collect()
    }

    /// The raw store.
    pub const fn store(&self) -> &Store<DuckWorker> {
        &self.store
    }
}

impl Debug for WorkerCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerCache").field("len", &self.store.len()).finish()
    }
}

fn snapshot(object: &DuckWorker) -> Option<WorkerSnapshot> {
    match Stored::parse(object) {
        Ok(stored) => Some(WorkerSnapshot::new(Arc::new(stored))),
        Err(error) => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            tracing::debug!(worker = name, %error, "left alone: this version cannot read it");
            None
        }
    }
}

/// A watch of one kind that goes on over objects that cannot be decoded, and backs off while the
/// server is ill.
pub fn guarded_watch<K>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Default + Send + 'static,
{
    watcher(api, config).default_backoff().filter_map(async |event| match event {
        Ok(event) => unguard(event).map(Ok),
        Err(error) => Some(Err(error)),
    })
}

fn unguard<K>(event: watcher::Event<DeserializeGuard<K>>) -> Option<watcher::Event<K>>
where
    K: Resource<DynamicType = ()> + Default,
{
    use watcher::Event;
    Some(match event {
        Event::Apply(DeserializeGuard(Ok(object))) => Event::Apply(object),
        Event::InitApply(DeserializeGuard(Ok(object))) => Event::InitApply(object),
        Event::Delete(DeserializeGuard(Ok(object))) => Event::Delete(object),
        // Out of the cache with it: what we cannot read we do not act on.
        Event::Apply(DeserializeGuard(Err(bad))) => {
            report::<K>(&bad.metadata, &bad.error);
            Event::Delete(stub(bad.metadata))
        }
        Event::Delete(DeserializeGuard(Err(bad))) => Event::Delete(stub(bad.metadata)),
        Event::InitApply(DeserializeGuard(Err(bad))) => {
            report::<K>(&bad.metadata, &bad.error);
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
