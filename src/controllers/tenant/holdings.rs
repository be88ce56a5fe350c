//! Which workers are assigned to which tenant, as the watch on workers shows them: kept by tenant,
//! so that a look at one is no pass over all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use duckworker_api::DuckWorker;
use kube::ResourceExt;
use kube::runtime::watcher::Event;

/// A namespace and a name in it.
pub type Name = (String, String);

/// All of them.
#[derive(Debug, Default)]
pub struct Holdings {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How often the watch began anew.
    listing: u64,
    /// The workers of each tenant, by name.
    of: BTreeMap<Name, BTreeSet<String>>,
    /// What is known of each worker.
    workers: BTreeMap<Name, Known>,
}

#[derive(Debug)]
struct Known {
    tenant: String,
    standing: Standing,
    /// The listing that showed it.
    listing: u64,
}

/// What a worker is to its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is assigned to it.
    Held,
    /// It was made for it, and is yet to be claimed.
    Awaiting,
}

impl Holdings {
    /// Takes in what the watch tells.
    pub fn follow(&self, event: &Event<DuckWorker>) {
        let mut inner = self.lock();
        match event {
            Event::Init => inner.listing += 1,
            // [`Self::end_listing`] tells more.
            Event::InitDone => {}
            Event::InitApply(worker) | Event::Apply(worker) => {
                let held = worker.status.as_ref().and_then(|status| status.tenant.as_deref());
                match (held, worker.spec.tenant.as_deref()) {
                    (Some(tenant), _) => inner.enter(name_of(worker), tenant, Standing::Held),
                    (None, Some(tenant)) => {
                        inner.enter(name_of(worker), tenant, Standing::Awaiting);
                    }
                    (None, None) => inner.leave(&name_of(worker)),
                }
            }
            Event::Delete(worker) => inner.leave(&name_of(worker)),
        }
    }

    /// The watch has listed all workers anew. Returns the tenants, by namespace and name, whose
    /// workers went meanwhile: no event tells of those.
    pub fn end_listing(&self) -> BTreeSet<Name> {
        self.lock().end_listing()
    }

    /// The names of a tenant's workers.
    pub fn of(&self, namespace: &str, tenant: &str) -> Vec<String> {
        self.lock().named(namespace, tenant, Standing::Held)
    }

    /// All workers that are assigned to a tenant, by namespace and name.
    pub fn all(&self) -> Vec<Name> {
        let inner = self.lock();
        let held = inner.workers.iter().filter(|(_, known)| known.standing == Standing::Held);
        held.map(|(name, _)| name.clone()).collect()
    }

    /// The names of those that were made for it, and that nobody has claimed yet.
    pub fn awaiting(&self, namespace: &str, tenant: &str) -> Vec<String> {
        self.lock().named(namespace, tenant, Standing::Awaiting)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(worker: &DuckWorker) -> Name {
    (worker.namespace().unwrap_or_default(), worker.name_any())
}

impl Inner {
    fn named(&self, namespace: &str, tenant: &str, wanted: Standing) -> Vec<String> {
        let names = self.of.get(&(namespace.to_owned(), tenant.to_owned()));
        let fits = |name: &&String| {
            let known = self.workers.get(&(namespace.to_owned(), (*name).clone()));
            known.is_some_and(|known| known.standing == wanted)
        };
        names.into_iter().flatten().filter(fits).cloned().collect()
    }

    fn enter(&mut self, worker: Name, tenant: &str, standing: Standing) {
        let other = self.workers.get(&worker).is_some_and(|known| known.tenant != tenant);
        if other {
            // A namesake came in the place of one that is gone.
            self.leave(&worker);
        }
        let of = (worker.0.clone(), tenant.to_owned());
        self.of.entry(of).or_default().insert(worker.1.clone());
        let known = Known { tenant: tenant.to_owned(), standing, listing: self.listing };
        self.workers.insert(worker, known);
    }

    fn leave(&mut self, worker: &Name) {
        let Some(known) = self.workers.remove(worker) else { return };
        let of = (worker.0.clone(), known.tenant);
        if let Some(workers) = self.of.get_mut(&of) {
            workers.remove(&worker.1);
            if workers.is_empty() {
                self.of.remove(&of);
            }
        }
    }

    /// What the new listing did not show is gone.
    fn end_listing(&mut self) -> BTreeSet<Name> {
        let gone = self.workers.iter().filter(|(_, known)| known.listing != self.listing);
        let gone: Vec<(Name, String)> =
            gone.map(|(worker, known)| (worker.clone(), known.tenant.clone())).collect();
        let mut tenants = BTreeSet::new();
        for (worker, tenant) in gone {
            self.leave(&worker);
            tenants.insert((worker.0, tenant));
        }
        tenants
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn worker(name: &str, tenant: Option<&str>) -> DuckWorker {
        let object = json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker",
            "metadata": { "name": name, "namespace": "data" },
            "spec": { "template": { "spec": { "containers": [{ "name": "duckdb", "image": "i" }] } } },
            "status": { "state": "Hot", "tenant": tenant },
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_worker_is_its_tenants_until_it_is_gone() {
        let holdings = Holdings::default();
        holdings.follow(&Event::Apply(worker("w", Some("acme"))));
        assert_eq!(holdings.of("data", "acme"), ["w"]);
        holdings.follow(&Event::Apply(worker("w", Some("other"))));
        assert!(holdings.of("data", "acme").is_empty(), "a namesake");
        holdings.follow(&Event::Delete(worker("w", Some("other"))));
        assert!(holdings.of("data", "other").is_empty());
    }

    #[test]
    fn a_new_listing_forgets_what_it_does_not_show() {
        let holdings = Holdings::default();
        holdings.follow(&Event::Apply(worker("w", Some("acme"))));
        for event in [Event::Init, Event::InitApply(worker("x", Some("acme")))] {
            holdings.follow(&event);
        }
        holdings.end_listing();
        assert_eq!(holdings.of("data", "acme"), ["x"]);
    }
}
