//! What was made and deleted in a namespace, as a watch saw it: from outside, and with the uids, so
//! that a second pod of the same name counts.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt as _};
use tokio::task::JoinHandle;

use crate::TestNamespace;
use crate::wait::Watchable;

/// The one kind of which a crash may cost more: see [`super::judge`].
pub const SECRETS: &str = "secrets";

/// How many objects of a kind were made, and how many of those are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Made.
    pub made: usize,
    /// Gone again.
    pub gone: usize,
}

/// What was made and deleted, by the plural names of the kinds.
pub type Counts = BTreeMap<&'static str, Count>;

/// Counts from its start on.
pub struct Census(BTreeMap<&'static str, Counter>);

impl Census {
    /// Starts counting.
    pub fn start(ns: &TestNamespace<'_>) -> Self {
        Self(BTreeMap::from([
            ("workers", Counter::start::<DuckWorker>(ns)),
            ("pods", Counter::start::<Pod>(ns)),
            (SECRETS, Counter::start::<Secret>(ns)),
            ("pools", Counter::start::<DuckWorkerPool>(ns)),
            ("budgets", Counter::start::<PodDisruptionBudget>(ns)),
            ("claims", Counter::start::<DuckWorkerClaim>(ns)),
            ("tenants", Counter::start::<DuckTenant>(ns)),
        ]))
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.0.iter().map(|(kind, counter)| (*kind, counter.count())).collect()
    }
}

#[derive(Default)]
struct Seen {
    made: HashSet<String>,
    gone: HashSet<String>,
}

struct Counter {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Counter {
    fn start<K>(ns: &TestNamespace<'_>) -> Self
    where
        K: Watchable + Resource<DynamicType: Default, Scope = NamespaceResourceScope> + Sync,
        K::DynamicType: Send + Sync + Clone + std::fmt::Debug + Eq + std::hash::Hash + Unpin,
    {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (api, book) = (ns.api::<K>(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut events = watcher(api, watcher::Config::default()).boxed();
            while let Some(event) = events.next().await {
                let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => {
                        book.made.extend(object.uid());
                    }
                    Ok(Event::Delete(object)) => {
                        book.made.extend(object.uid());
                        book.gone.extend(object.uid());
                    }
                    _ => {}
                }
            }
        });
        Self { seen, task }
    }

    fn count(&self) -> Count {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Count { made: seen.made.len(), gone: seen.gone.len() }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.task.abort();
    }
}
