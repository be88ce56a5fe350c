//! The loop: ask the plan, carry its step out, ask again, until there is nothing to do but wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use duckworker_api::DuckWorkerPool;
use duckworker_client::{Error, PoolSnapshot};
use duckworker_core::plan::binding::queue::Free;
use duckworker_core::plan::pool::{self as plan, Step, View};
use duckworker_core::pool::{Member, Pool};
use duckworker_core::tenant::TenantTerms;
use duckworker_core::{Fingerprint, Image, Tenant, Uid};
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::act;
use super::context::Context;
use crate::controllers::tenant::wants::wants;

/// More steps in one go than a pool needs. What is left is done at the next look.
const STEPS: usize = 64;
/// A pool of which nothing is told is looked at again: without a call, unless something is wrong.
const GLANCE: Duration = Duration::from_mins(1);

/// One look at a pool.
pub struct Look {
    /// The pool, as new as this process knows it.
    pub pool: PoolSnapshot,
    /// Workers that a consistent read did not find.
    pub gone: BTreeSet<Uid>,
}

/// How a step went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Ask the plan again.
    Again,
    /// Nothing until a watch tells of a change, or this time has passed.
    Wait(Duration),
    /// The pool is gone.
    Gone,
}

/// One reconcile of one pool.
///
/// # Errors
/// Whatever a step failed with; [`after_error`] says when to look again.
pub async fn reconcile(
    object: Arc<DuckWorkerPool>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    // What is missing in a cache that is not filled yet is not gone.
    let filled = context.pools.wait_until_filled().await
        && context.workers.wait_until_filled().await
        && context.tenants.wait_until_filled().await;
    if !filled || !context.leadership.is_held() {
        // Whoever comes to lead looks at all.
        return Ok(Action::await_change());
    }
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let Some(pool) = context.pools.named(&namespace, &name) else {
        return Ok(Action::await_change());
    };
    let timer = context.observer.reconcile("pool");
    let uid = pool.pool().key.uid.clone();
    let pool = context.memory.newest(pool);
    let result = Box::pin(drive(&context, Look { pool, gone: BTreeSet::new() })).await;
    timer.finish(result.as_ref().map_or_else(|error| error.class().into(), |_| "ok"));
    let progress = result?;
    context.requeue.succeeded(&uid);
    Ok(match progress {
        Progress::Wait(time) => Action::requeue(time.min(GLANCE)),
        Progress::Again => Action::requeue(Duration::ZERO),
        Progress::Gone => {
            context.memory.forget(&uid);
            Action::await_change()
        }
    })
}

async fn drive(context: &Context, mut look: Look) -> Result<Progress, Error> {
    for _ in 0..STEPS {
        if !context.leadership.is_held() {
            return Ok(Progress::Wait(GLANCE));
        }
        let step = plan_next(context, &look);
        tracing::debug!(pool = %look.pool.pool().key, ?step, "next step");
        match act::carry_out(context, &mut look, step).await? {
            Progress::Again => {}
            done => return Ok(done),
        }
    }
    Ok(Progress::Again)
}

fn plan_next(context: &Context, look: &Look) -> Step {
    let pool = look.pool.pool();
    let uid = &pool.key.uid;
    let members = context.members.of(uid);
    let refusal = context.memory.refusal(uid);
    let unguarded = context.memory.budget_refusal(uid);
    let (namespace, name) = (&pool.key.namespace, &pool.key.name);
    let wants = wants(&context.tenants, &context.waiting, pool);
    let free = Free::of(&members, &wants, &BTreeSet::new());
    let mut pinned = context.waiting.demand(namespace, name, &free);
    let demand = pinned.remove(&pool.terms.image).unwrap_or(0);
    let tenants = declared(context, pool, &members);
    let pins = pins(&look.pool, &pinned, &tenants);
    let awaited = wants.keys().cloned().collect();
    let misses = context.misses.of(namespace, name);
    let step = plan::next(&View {
        pool,
        members: &members,
        gone: &look.gone,
        demand,
        pinned: &pinned,
        pins: &pins,
        tenants: &tenants,
        misses: &misses,
        awaited: &awaited,
        budget: context.budgets.standing(pool, unguarded.as_ref().map(|(why, _)| why.as_str())),
        refusal: refusal.as_ref().map(|(why, _)| why.as_str()),
        now: context.clock.now(),
    });
    let paused = [refusal, unguarded].into_iter().flatten().map(|(_, left)| left).min();
    match (step, paused) {
        (Step::Wait(time), Some(left)) => Step::Wait(time.min(left)),
        (Step::Rest, Some(left)) => Step::Wait(left),
        (step, _) => step,
    }
}

/// What the tenants say of themselves that have workers of the pool.
fn declared(context: &Context, pool: &Pool, members: &[Member]) -> BTreeMap<Tenant, TenantTerms> {
    let namespace = &pool.key.namespace;
    let tenants: BTreeSet<&Tenant> =
        members.iter().filter_map(|member| member.tenant.as_ref()).collect();
    let terms = |tenant: &Tenant| {
        let declared = context.tenants.named(namespace, tenant.as_str())?;
        Some((tenant.clone(), declared.tenant().terms.clone()))
    };
    tenants.into_iter().filter_map(terms).collect()
}

/// What workers of these versions are told by, if they are made of the present template.
fn pins(
    pool: &PoolSnapshot,
    awaited: &BTreeMap<Image, usize>,
    tenants: &BTreeMap<Tenant, TenantTerms>,
) -> BTreeMap<Image, Fingerprint> {
    let of_tenants = tenants.values().filter_map(|terms| terms.image.as_ref());
    let images: BTreeSet<&Image> = awaited.keys().chain(of_tenants).collect();
    images.into_iter().map(|image| (image.clone(), pool.made_of(image))).collect()
}

/// When to look at a pool again after an error.
#[allow(clippy::needless_pass_by_value, reason = "the library's signature")]
pub fn after_error(object: Arc<DuckWorkerPool>, error: &Error, context: Arc<Context>) -> Action {
    context.requeue.after(&object.metadata, error)
}
