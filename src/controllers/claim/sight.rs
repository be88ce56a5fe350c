//! What is seen of one claim: its pool, the worker that names it, and the one whose turn it is.

use std::collections::BTreeSet;
use std::time::Duration;

use duckworker_client::{ClaimSnapshot, PoolSnapshot, TenantSnapshot, WorkerSnapshot};
use duckworker_core::claim::{Claim, ClaimStatus};
use duckworker_core::plan::binding::queue::{Free, Want, Wants};
use duckworker_core::plan::binding::status::{Why, waiting_for};
use duckworker_core::plan::binding::why::Waits;
use duckworker_core::plan::binding::{Loss, SecretStanding, Step, View, next, room};
use duckworker_core::pool::Member;
use duckworker_core::{Uid, Worker};

use super::context::Context;
use crate::controllers::tenant::wants::wants;

/// How soon a claim is looked at again whose worker the watch is yet to show.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// One claim and what concerns it.
pub struct Sight {
    /// The claim, as new as this process knows it.
    pub claim: ClaimSnapshot,
    /// Workers that were not to be had in this look.
    pub missed: BTreeSet<Uid>,
    /// The worker that the connection secret was made for in this look.
    pub connected: Option<Uid>,
    /// What is known of the worker that the claim names.
    pub loss: Loss,
}

impl Sight {
    /// Of this claim.
    pub const fn of(claim: ClaimSnapshot) -> Self {
        Self { claim, missed: BTreeSet::new(), connected: None, loss: Loss::Unproven }
    }

    /// The next step.
    pub fn plan(&self, context: &Context) -> Step {
        let claim = self.claim.claim();
        let pool = context.caches.pools.named(&claim.key.namespace, &claim.pool);
        let named =
            |pool: &PoolSnapshot| context.members.naming(&pool.pool().key.uid, &claim.key.uid);
        let naming_it = pool.as_ref().map_or_else(Vec::new, named);
        let worker = naming(&naming_it, claim);
        if worker.is_none() && context.waiting.is_served(&claim.key.uid) {
            // Its worker is on its way into the cache.
            return Step::Wait(ON_ITS_WAY);
        }
        let wants = wants_of(context, pool.as_ref());
        let next_worker = self.next_worker(context, pool.as_ref(), &wants);
        let obstacle = obstacle(context, claim, wants.get(&claim.tenant));
        let tenant = context.caches.tenants.named(&claim.key.namespace, claim.tenant.as_str());
        let why = Waits {
            claim,
            pool: pool.as_ref().map(PoolSnapshot::pool),
            tenant: tenant.as_ref().map(TenantSnapshot::tenant),
            want: wants.get(&claim.tenant),
            before: context.waiting.before(claim),
        }
        .why();
        let made = worker.is_some_and(|worker| self.is_connected(context, &worker.uid));
        next(&View {
            claim,
            worker,
            secret: if made { SecretStanding::Made } else { SecretStanding::NotMade },
            loss: self.loss,
            next_worker: next_worker.as_ref(),
            in_the_way: obstacle.as_ref().map(|worker| &worker.key().uid),
            why: &why,
            now: context.clock.now(),
        })
    }

    /// The status that says what is in the way of a bound claim.
    pub fn blocked(&self, context: &Context, why: &Why) -> ClaimStatus {
        let claim = self.claim.claim();
        waiting_for(claim, why, context.clock.now())
    }

    fn is_connected(&self, context: &Context, worker: &Uid) -> bool {
        let here = self.connected.as_ref() == Some(worker);
        here || context.waiting.is_connected(&self.claim.claim().key.uid, worker)
    }

    fn next_worker(
        &self,
        context: &Context,
        pool: Option<&PoolSnapshot>,
        wants: &Wants,
    ) -> Option<Uid> {
        let (claim, pool) = (self.claim.claim(), pool?.pool());
        if pool.deletion.is_some() || !claim.waits() {
            return None;
        }
        let members = context.members.of(&pool.key.uid);
        let free = Free::of(&members, wants, &self.missed);
        context.waiting.worker_for(claim, &free)
    }
}

/// What the tenants may be given whose claims wait for workers of a pool.
pub fn wants_of(context: &Context, pool: Option<&PoolSnapshot>) -> Wants {
    let wants = |pool: &PoolSnapshot| wants(&context.caches.tenants, &context.waiting, pool.pool());
    pool.map_or_else(Wants::new, wants)
}

/// Of several workers that name the claim, the one that the claim names too, or the first.
fn naming<'a>(all: &'a [Member], claim: &Claim) -> Option<&'a Member> {
    let recorded = claim.status.worker.as_ref().map(|worker| &worker.uid);
    let all = all.iter().filter(|member| !member.state.is_condemned());
    all.min_by_key(|member| (recorded != Some(&member.uid), member.created, member.uid.clone()))
}

/// A parked worker of the claim's tenant that stands in its way, by the caches.
pub fn obstacle(context: &Context, claim: &Claim, want: Option<&Want>) -> Option<WorkerSnapshot> {
    let want = want.filter(|want| room::is_full(claim, want))?;
    let (namespace, tenant) = (&claim.key.namespace, claim.tenant.as_str());
    let declared = context.caches.tenants.named(namespace, tenant)?;
    let ledger = &declared.tenant().status.ledger;
    let assigned = context.holdings.of(namespace, tenant).into_iter();
    let held: Vec<WorkerSnapshot> = assigned
        .filter_map(|name| context.caches.workers.named(namespace, &name))
        .filter(|worker| ledger.get(&worker.key().uid).is_some())
        .collect();
    let seen: Vec<&Worker> = held.iter().map(WorkerSnapshot::worker).collect();
    let uid = &room::obstacle(claim, want, &seen)?.key.uid;
    held.iter().find(|worker| worker.key().uid == *uid).cloned()
}
