//! The disruption budgets of pools: what the watch shows of them, and what was just written.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duckworker_api::pool::budget;
use duckworker_api::{DuckWorkerPool, labels};
use duckworker_client::Connection;
use duckworker_client::cache::{self, Filled, Readable, guarded_watch};
use duckworker_client::store::version_of;
use duckworker_core::Uid;
use duckworker_core::plan::pool::budget::{BudgetStanding, covers};
use duckworker_core::pool::{Pool, PoolKey};
use futures::Stream;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use crate::controllers::watches::{Scope, Touched};

/// A watch lags for milliseconds. After this long what it shows is the better witness.
const BELIEVED: Duration = Duration::from_secs(10);

/// All of one scope.
pub struct Budgets {
    store: Store<PodDisruptionBudget>,
    filled: Filled,
    /// What this process wrote and the watch has not shown yet, by the pool's uid.
    written: Mutex<BTreeMap<Uid, (PodDisruptionBudget, Instant)>>,
}

impl Budgets {
    /// Those that bear our label, and the stream that keeps them up to date.
    pub fn watch(
        connection: &Connection,
        scope: &Scope,
    ) -> (Self, impl Stream<Item = Touched<PodDisruptionBudget>> + Send + use<>) {
        let (store, writer) = store();
        let api: Api<Readable<PodDisruptionBudget>> = scope.api(&connection.client);
        let ours = watcher::Config::default().labels(labels::POOL_NAME);
        let events = guarded_watch(api, ours, &connection.dice).modify(|budget| {
            budget.managed_fields_mut().clear();
            budget.status = None;
        });
        let filled = cache::filled(store.clone());
        let budgets = Self { store, filled, written: Mutex::default() };
        (budgets, reflector(writer, events).touched_objects())
    }

    /// The wait for the first of what the watch shows.
    pub fn filled(&self) -> Filled {
        self.filled.clone()
    }

    /// What is known of a pool's budget, and why the last attempt at it was refused.
    pub fn standing<'a>(&self, pool: &Pool, refusal: Option<&'a str>) -> BudgetStanding<'a> {
        if self.filled.peek() != Some(&true) {
            return BudgetStanding::Unknown;
        }
        let found = self.found(&pool.key);
        let kept = found.as_ref().map(budget::covers);
        match (kept, refusal) {
            (Some(Some(kept)), _) if kept == covers(pool) => BudgetStanding::Keeps(kept),
            (_, Some(why)) => BudgetStanding::Refused(why),
            (Some(Some(other)), None) => BudgetStanding::Keeps(other),
            (Some(None), None) => BudgetStanding::Edited,
            (None, None) => BudgetStanding::Missing,
        }
    }

    /// A pool's own budget, as new as this process knows it.
    pub fn found(&self, key: &PoolKey) -> Option<PodDisruptionBudget> {
        let reference = ObjectRef::new(&key.budget_name()).within(&key.namespace);
        let shown = self.store.get(&reference);
        let shown = shown.filter(|b| budget::pool_of(b).is_some_and(|pool| pool.uid == key.uid));
        let mut all = self.lock();
        let written = all.get(&key.uid).filter(|(_, at)| at.elapsed() < BELIEVED);
        match (shown, written) {
            (Some(shown), Some((written, _))) if is_newer(written, &shown) => Some(written.clone()),
            (None, Some((written, _))) => Some(written.clone()),
            (shown, _) => {
                all.remove(&key.uid);
                shown.map(|shown| (*shown).clone())
            }
        }
    }

    /// This process wrote it so.
    pub fn wrote(&self, pool: &Uid, budget: PodDisruptionBudget) {
        self.lock().insert(pool.clone(), (budget, Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uid, (PodDisruptionBudget, Instant)>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_newer(one: &PodDisruptionBudget, other: &PodDisruptionBudget) -> bool {
    let (one, other) = (version_of(&one.metadata), version_of(&other.metadata));
    one.zip(other).is_some_and(|(one, other)| one > other)
}

/// The pool that a budget says it belongs to.
pub fn pool_ref(budget: &PodDisruptionBudget) -> Option<ObjectRef<DuckWorkerPool>> {
    let pool = budget::pool_of(budget)?;
    Some(ObjectRef::new(&pool.name).within(&budget.namespace()?))
}
