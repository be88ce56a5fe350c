//! What was made and deleted in a namespace, as a watch saw it: from outside, and with the uids, so
//! that a second pod of the same name counts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt as _};
use tokio::task::JoinHandle;

use crate::TestNamespace;
use crate::wait::Watchable;

/// How many objects of a kind were made, and how many of those are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Made.
    pub made: usize,
    /// Gone again.
    pub gone: usize,
}

/// What was made and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Pods.
    pub pods: Count,
    /// Secrets.
    pub secrets: Count,
}

/// Counts from its start on.
pub struct Census {
    pods: Counter,
    secrets: Counter,
}

impl Census {
    /// Starts counting.
    pub fn start(ns: &TestNamespace<'_>) -> Self {
        Self { pods: Counter::start::<Pod>(ns), secrets: Counter::start::<Secret>(ns) }
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        Counts { pods: self.pods.count(), secrets: self.secrets.count() }
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
