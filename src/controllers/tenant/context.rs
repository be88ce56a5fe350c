//! What a reconcile of a tenant needs, and what it remembers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use duckworker_client::{
    Children, ServerClock, TenantCache, TenantSnapshot, TenantStore, WorkerStore,
};
use duckworker_core::Uid;
use tokio::time::Instant;

use super::holdings::Holdings;
use crate::controllers::requeue::Requeue;
use crate::controllers::worker::context::Caches;
use crate::observe::Observer;
use crate::peers::Peers;

/// What a reconcile needs.
pub struct Context {
    /// Tenants.
    pub tenants: TenantCache,
    /// Workers.
    pub caches: Caches,
    /// The workers of each tenant.
    pub holdings: Arc<Holdings>,
    /// Reads and writes of tenants.
    pub store: TenantStore,
    /// Consistent reads of workers.
    pub workers: WorkerStore,
    /// Consistent reads of pods.
    pub children: Children,
    /// The other instances.
    pub peers: Peers,
    /// The API server's time.
    pub clock: ServerClock,
    /// Events and metrics.
    pub observer: Observer,
    /// When to look again.
    pub requeue: Requeue,
    /// What is remembered of each tenant.
    pub memory: Memory,
    /// How many tenants are looked at at once.
    pub concurrency: u16,
}

/// What is remembered of each tenant, by its uid.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<Uid, Remembered>>);

#[derive(Debug)]
struct Remembered {
    newest: TenantSnapshot,
    /// The generation, and since when it is known.
    generation: (i64, Instant),
}

impl Memory {
    /// The newest of what is known and what was seen, and for how long its generation is known.
    pub fn newest(&self, seen: TenantSnapshot) -> (TenantSnapshot, Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (uid, now) = (seen.tenant().key.uid.clone(), Instant::now());
        let generation = (seen.tenant().generation, now);
        let known =
            all.entry(uid).or_insert_with(|| Remembered { newest: seen.clone(), generation });
        known.newest = known.newest.clone().newer(seen);
        let newest = known.newest.tenant().generation;
        if known.generation.0 != newest {
            known.generation = (newest, now);
        }
        (known.newest.clone(), now.duration_since(known.generation.1))
    }

    /// The tenant is gone.
    pub fn forget(&self, tenant: &Uid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}
