//! What a reconcile of a pool needs, and what it remembers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duckworker_client::{
    PoolCache, PoolSnapshot, PoolStore, ServerClock, TenantCache, WorkerCache, WorkerLifecycle,
};
use duckworker_core::Uid;
use tokio::time::Instant;

use super::budgets::Budgets;
use super::members::Members;
use super::misses::AllMisses;
use crate::controllers::claim::waiting::Waiting;
use crate::controllers::requeue::Requeue;
use crate::janitor::Leadership;
use crate::observe::Observer;

/// What a reconcile needs.
pub struct Context {
    /// Pools.
    pub pools: PoolCache,
    /// Workers.
    pub workers: WorkerCache,
    /// Tenants.
    pub tenants: TenantCache,
    /// The workers of each pool.
    pub members: Arc<Members>,
    /// Their disruption budgets.
    pub budgets: Budgets,
    /// The claims that wait.
    pub waiting: Arc<Waiting>,
    /// The claims that found no worker.
    pub misses: Arc<AllMisses>,
    /// Reads and writes of pools.
    pub store: PoolStore,
    /// The transitions of workers.
    pub lifecycle: WorkerLifecycle,
    /// Whether this instance acts.
    pub leadership: Leadership,
    /// The API server's time.
    pub clock: ServerClock,
    /// Events and metrics.
    pub observer: Observer,
    /// When to look again.
    pub requeue: Requeue,
    /// What is remembered of each pool.
    pub memory: Memory,
    /// The least time between two writes that tell of nothing but counts and conditions.
    pub pace: Duration,
    /// How many pools are looked at at once, and how many workers of each are acted on.
    pub concurrency: u16,
}

/// Why something was refused, and until when it is not tried again.
type Refusal = (String, Instant);

/// What is remembered of each pool, by its uid.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<Uid, Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    /// As this process wrote or read it last.
    newest: Option<PoolSnapshot>,
    /// When its status was last written.
    written: Option<Instant>,
    /// Why a worker of it could not be created, and until when none is tried.
    refusal: Option<Refusal>,
    /// The same for its disruption budget.
    unguarded: Option<Refusal>,
}

impl Memory {
    /// The newest of what is known and what was seen.
    pub fn newest(&self, seen: PoolSnapshot) -> PoolSnapshot {
        let mut all = self.lock();
        let known = all.entry(seen.pool().key.uid.clone()).or_default();
        let newest = match known.newest.take() {
            Some(older) => older.newer(seen),
            None => seen,
        };
        known.newest = Some(newest.clone());
        newest
    }

    /// Its status was written just now.
    pub fn wrote(&self, pool: &Uid) {
        self.lock().entry(pool.clone()).or_default().written = Some(Instant::now());
    }

    /// How long ago its status was written.
    pub fn since_written(&self, pool: &Uid) -> Duration {
        let all = self.lock();
        let written = all.get(pool).and_then(|known| known.written);
        written.map_or(Duration::MAX, |written| written.elapsed())
    }

    /// A worker of it could not be created; none is tried for a while.
    pub fn refused(&self, pool: &Uid, why: String, pause: Duration) {
        let until = Instant::now() + pause;
        self.lock().entry(pool.clone()).or_default().refusal = Some((why, until));
    }

    /// Why no worker of it is created now, and for how long.
    pub fn refusal(&self, pool: &Uid) -> Option<(String, Duration)> {
        let all = self.lock();
        left_of(all.get(pool)?.refusal.as_ref()?)
    }

    /// Its disruption budget could not be written; that is not tried for a while.
    pub fn unguarded(&self, pool: &Uid, why: String, pause: Duration) {
        let until = Instant::now() + pause;
        self.lock().entry(pool.clone()).or_default().unguarded = Some((why, until));
    }

    /// Why its disruption budget is not written now, and for how long.
    pub fn budget_refusal(&self, pool: &Uid) -> Option<(String, Duration)> {
        let all = self.lock();
        left_of(all.get(pool)?.unguarded.as_ref()?)
    }

    /// The pool is gone.
    pub fn forget(&self, pool: &Uid) {
        self.lock().remove(pool);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uid, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn left_of((why, until): &Refusal) -> Option<(String, Duration)> {
    let left = until.saturating_duration_since(Instant::now());
    (!left.is_zero()).then(|| (why.clone(), left))
}
