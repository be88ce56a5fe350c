//! Why a claim waits, in a word and a sentence.

use super::queue::Want;
use super::status::{self, Why};
use crate::claim::Claim;
use crate::conditions::ConditionStatus;
use crate::plan::pool::demand::POOL_EMPTY;
use crate::plan::pool::report::PoolCondition;
use crate::pool::Pool;
use crate::tenant::{Allowance, DeclaredTenant};

/// What is seen of a claim that gets no worker.
#[derive(Debug, Clone, Copy)]
pub struct Waits<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// Its pool, if there is one.
    pub pool: Option<&'a Pool>,
    /// Its tenant, if it is declared.
    pub tenant: Option<&'a DeclaredTenant>,
    /// What its tenant may be given.
    pub want: Option<&'a Want>,
    /// How many of its tenant's claims are before it.
    pub before: usize,
}

impl Waits<'_> {
    /// What it is told.
    pub fn why(&self) -> Why {
        let name = &self.claim.pool;
        let Some(pool) = self.pool else {
            let message = format!("there is no DuckWorkerPool {name} in this namespace");
            return Why::new("PoolNotFound", message);
        };
        if pool.deletion.is_some() {
            return Why::new("PoolDeleting", format!("pool {name} is being deleted"));
        }
        let why = self.tenant_trouble().unwrap_or_else(|| self.pool_trouble(pool));
        Why::new(why.reason, format!("{}; {}", why.message, self.place()))
    }

    /// Roughly: exact numbers would cost a write with every claim that leaves the queue.
    fn place(&self) -> String {
        match self.before {
            0 => "it is the first of its tenant".to_owned(),
            before @ 1..10 => format!("{before} of its tenant are before it"),
            before => format!("more than {} of its tenant are before it", before / 10 * 10),
        }
    }

    /// Why it gets no worker, whatever its pool has.
    fn tenant_trouble(&self) -> Option<Why> {
        let name = &self.claim.tenant;
        let Some(tenant) = self.tenant else {
            let refused = self.want.is_some_and(|want| want.allowance == Allowance::Nothing);
            let message = format!(
                "pool {} serves declared tenants only: create DuckTenant {name} in this namespace",
                self.claim.pool
            );
            return refused.then(|| Why::new(status::TENANT_UNDECLARED, message));
        };
        if tenant.deletion.is_some() {
            return Some(Why::new(
                status::TENANT_DELETING,
                format!("DuckTenant {name} is being deleted"),
            ));
        }
        let (cap, used) = (tenant.terms.max_workers?, tenant.status.ledger.used());
        let message = format!("tenant {name} holds {used} workers and may hold {cap}");
        (used >= cap).then(|| Why::new(status::TENANT_AT_CAP, message))
    }

    fn pool_trouble(&self, pool: &Pool) -> Why {
        let kind: &str = PoolCondition::Degraded.into();
        let mut conditions = pool.status.conditions.iter();
        let degraded = conditions.find(|condition| condition.kind == kind);
        if let Some(degraded) = degraded.filter(|c| c.status == ConditionStatus::True) {
            let message = format!("workers do not start: {}", degraded.message);
            return Why::new(degraded.reason.clone(), message);
        }
        if pool.status.seats.taken.len() >= pool.terms.max_workers {
            let message = format!("all {} workers of the pool are in use", pool.terms.max_workers);
            return Why::new("PoolAtMax", message);
        }
        let pin = self.want.map(|want| &want.image).filter(|pin| **pin != pool.terms.image);
        match pin {
            Some(pin) => {
                let message = format!("no worker of {pin}, which its tenant is pinned to, is idle");
                Why::new("NoneOfVersion", format!("{message}; one is being started"))
            }
            None => Why::new(POOL_EMPTY, "no worker is idle; more are being started"),
        }
    }
}
