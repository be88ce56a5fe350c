//! What is seen of one claim: its pool, the worker that names it, and the one whose turn it is.

use std::collections::BTreeSet;
use std::time::Duration;

use duckworker_client::{ClaimSnapshot, PoolSnapshot};
use duckworker_core::Uid;
use duckworker_core::claim::{Claim, ClaimStatus};
use duckworker_core::conditions::ConditionStatus;
use duckworker_core::plan::binding::queue::Free;
use duckworker_core::plan::binding::status::{Why, waiting_for};
use duckworker_core::plan::binding::{Loss, SecretStanding, Step, View, next};
use duckworker_core::plan::pool::report::PoolCondition;
use duckworker_core::pool::{Member, Pool};

use super::context::Context;

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
        let members = pool.as_ref().map_or_else(Vec::new, |pool| members_of(context, pool));
        let worker = naming(&members, claim);
        if worker.is_none() && context.waiting.is_served(&claim.key.uid) {
            // Its worker is on its way into the cache.
            return Step::Wait(ON_ITS_WAY);
        }
        let next_worker = self.next_worker(context, pool.as_ref(), &members);
        let why = why(context, claim, pool.as_ref());
        let made = worker.is_some_and(|worker| self.connected.as_ref() == Some(&worker.uid));
        next(&View {
            claim,
            worker,
            secret: if made { SecretStanding::Made } else { SecretStanding::NotMade },
            loss: self.loss,
            next_worker: next_worker.as_ref(),
            why: &why,
            now: context.clock.now(),
        })
    }

    /// The status that says what is in the way of a bound claim.
    pub fn blocked(&self, context: &Context, why: &Why) -> ClaimStatus {
        let claim = self.claim.claim();
        waiting_for(claim, why, context.clock.now())
    }

    fn next_worker(
        &self,
        context: &Context,
        pool: Option<&PoolSnapshot>,
        members: &[Member],
    ) -> Option<Uid> {
        let (claim, pool) = (self.claim.claim(), pool?.pool());
        if pool.deletion.is_some() || !claim.waits() {
            return None;
        }
        let free = Free::of(members, &pool.terms.image, &self.missed);
        context.waiting.worker_for(claim, &free)
    }
}

fn members_of(context: &Context, pool: &PoolSnapshot) -> Vec<Member> {
    context.members.of(&pool.pool().key.uid)
}

/// The worker that names the claim. Of several, the one that the claim names too, or the first.
fn naming<'a>(members: &'a [Member], claim: &Claim) -> Option<&'a Member> {
    let recorded = claim.status.worker.as_ref().map(|worker| &worker.uid);
    let names = |member: &&Member| {
        member.claim.as_ref().is_some_and(|named| named.uid == claim.key.uid)
            && !member.state.is_condemned()
    };
    let all = members.iter().filter(names);
    all.min_by_key(|member| (recorded != Some(&member.uid), member.created, member.uid.clone()))
}

/// Why a claim waits, in a word and a sentence.
fn why(context: &Context, claim: &Claim, pool: Option<&PoolSnapshot>) -> Why {
    let Some(pool) = pool.map(PoolSnapshot::pool) else {
        let message = format!("there is no DuckWorkerPool {} in this namespace", claim.pool);
        return Why::new("PoolNotFound", message);
    };
    if pool.deletion.is_some() {
        return Why::new("PoolDeleting", format!("pool {} is being deleted", claim.pool));
    }
    let before = context.waiting.before(claim);
    let place = match before {
        0 => "it is the first of its tenant".to_owned(),
        // Exact numbers would cost a write with every claim that leaves the queue.
        1..10 => format!("{before} of its tenant are before it"),
        _ => format!("more than {} of its tenant are before it", before / 10 * 10),
    };
    let (reason, message) = pool_trouble(pool);
    Why::new(reason, format!("{message}; {place}"))
}

fn pool_trouble(pool: &Pool) -> (String, String) {
    let condition = |kind: PoolCondition| {
        let kind: &str = kind.into();
        pool.status.conditions.iter().find(|condition| condition.kind == kind)
    };
    if let Some(degraded) =
        condition(PoolCondition::Degraded).filter(|c| c.status == ConditionStatus::True)
    {
        return (degraded.reason.clone(), format!("workers do not start: {}", degraded.message));
    }
    if pool.status.seats.taken.len() >= pool.terms.max_workers {
        let message = format!("all {} workers of the pool are in use", pool.terms.max_workers);
        return ("PoolAtMax".to_owned(), message);
    }
    ("PoolEmpty".to_owned(), "no worker is idle; more are being started".to_owned())
}
