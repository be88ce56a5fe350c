//! What the controllers of one scope work with, made of what the instance has.

use std::sync::Arc;
use std::time::Duration;

use duckworker_client::{Children, ClaimStore, PoolStore, TenantStore};

use super::Parts;
use crate::controllers::claim;
use crate::controllers::links::Links;
use crate::controllers::pool;
use crate::controllers::pool::budgets::Budgets;
use crate::controllers::requeue::Requeue;
use crate::controllers::tenant;
use crate::controllers::worker::context::{Caches, Context};
use crate::controllers::worker::first_check::AskedInVain;

impl Parts {
    fn claim_store(&self) -> ClaimStore {
        ClaimStore::new(self.lifecycle.store().clone(), Arc::clone(&self.instance))
    }

    fn tenant_store(&self) -> TenantStore {
        TenantStore::new(self.lifecycle.store().clone(), Arc::clone(&self.instance))
    }

    pub(super) fn claim_context(&self, caches: Caches, links: &Links) -> claim::context::Context {
        claim::context::Context {
            claims: caches.claims.clone(),
            caches,
            members: Arc::clone(&links.members),
            waiting: Arc::clone(&links.waiting),
            claimed_workers: links.seated_workers.clone(),
            holdings: Arc::clone(&links.holdings),
            store: self.claim_store(),
            lifecycle: self.lifecycle.clone(),
            peers: self.peers(),
            clock: self.ground.connection.clock.clone(),
            observer: self.observer.clone(),
            requeue: self.requeue(),
            concurrency: self.concurrency(),
        }
    }

    pub(super) fn pool_context(
        &self,
        caches: &Caches,
        links: &Links,
        budgets: Budgets,
    ) -> pool::context::Context {
        let store = self.lifecycle.store().clone();
        pool::context::Context {
            pools: caches.pools.clone(),
            workers: caches.workers.clone(),
            tenants: caches.tenants.clone(),
            members: Arc::clone(&links.members),
            budgets,
            misses: Arc::clone(&links.misses),
            waiting: Arc::clone(&links.waiting),
            store: PoolStore::new(store, Arc::clone(&self.instance)),
            lifecycle: self.lifecycle.clone(),
            leadership: self.leadership.clone(),
            clock: self.ground.connection.clock.clone(),
            observer: self.observer.clone(),
            requeue: self.requeue(),
            memory: pool::context::Memory::default(),
            pace: Duration::from_secs(1),
            concurrency: self.concurrency(),
        }
    }

    pub(super) fn tenant_context(&self, caches: Caches, links: &Links) -> tenant::context::Context {
        tenant::context::Context {
            tenants: caches.tenants.clone(),
            caches,
            holdings: Arc::clone(&links.holdings),
            store: self.tenant_store(),
            workers: self.lifecycle.store().clone(),
            children: Children::new(self.lifecycle.clone()),
            peers: self.peers(),
            clock: self.ground.connection.clock.clone(),
            observer: self.observer.clone(),
            requeue: self.requeue(),
            memory: tenant::context::Memory::default(),
            concurrency: self.concurrency(),
        }
    }

    fn requeue(&self) -> Requeue {
        Requeue::new(self.ground.connection.dice.clone())
    }

    fn concurrency(&self) -> u16 {
        u16::try_from(self.settings.concurrency.get()).unwrap_or(u16::MAX)
    }

    pub(super) fn context(&self, caches: Caches, links: &Links) -> Context {
        let workers = caches.workers.clone();
        self.ground.metrics.count_workers_with(Arc::new(workers.clone()));
        Context {
            caches,
            workers,
            lifecycle: self.lifecycle.clone(),
            claims: self.claim_store(),
            served_claims: links.changed_claims.clone(),
            tenants: self.tenant_store(),
            children: Children::new(self.lifecycle.clone()),
            clock: self.ground.connection.clock.clone(),
            peers: self.peers(),
            activator: self.activator.clone(),
            observer: self.observer.clone(),
            asked_in_vain: AskedInVain::default(),
            requeue: self.requeue(),
            concurrency: self.concurrency(),
        }
    }
}
