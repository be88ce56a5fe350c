//! Parked workers that wait for too long, or are too many.

use duckworker_client::{Error, Origin, WorkerSnapshot};
use duckworker_core::plan::janitor::parked::overdue;
use duckworker_core::{Reason, Tenant, Uid};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::round::{Act, Round};
use crate::controllers::worker::context::Caches;

impl Round<'_> {
    /// Ends parked workers, pool by pool, as each says how long and how many it keeps.
    pub(super) async fn parked(&mut self) {
        let mut found = Vec::new();
        for caches in &self.tools.caches {
            for pool in caches.pools.store().state() {
                let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
                let Some(pool) = caches.pools.named(&namespace, &name) else { continue };
                let pool = pool.pool();
                let members = caches.members.of(&pool.key.uid);
                // A tenant's own word goes before the pool's.
                let terms_of = |tenant: &Tenant| {
                    let declared = caches.tenants.named(&namespace, tenant.as_str());
                    let terms = declared.map(|declared| declared.tenant().terms.hot_idle);
                    terms.unwrap_or_default().over(&pool.terms.hot_idle)
                };
                let late = overdue(&members, terms_of, self.tools.clock.now());
                found.extend(late.iter().filter_map(|uid| snapshot(caches, &namespace, uid)));
            }
        }
        self.each(found, |worker| self.retire_parked(worker)).await;
    }

    async fn retire_parked(&self, worker: WorkerSnapshot) -> Result<Act, Error> {
        let (lifecycle, reason) = (&self.tools.lifecycle, Reason::HotIdleExpired);
        let origin = Origin::Janitor;
        Ok(lifecycle.retire_idle_variant_from_snapshot(&worker, reason, origin).await?.into())
    }
}

fn snapshot(caches: &Caches, namespace: &str, uid: &Uid) -> Option<WorkerSnapshot> {
    let name = caches.members.name_of(uid)?;
    let seen = caches.workers.get(&ObjectRef::new(&name).within(namespace))?;
    (seen.key().uid == *uid).then_some(seen)
}
