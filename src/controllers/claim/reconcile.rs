//! The loop: ask the plan, carry its step out, ask again, until there is nothing to do but wait.

use std::sync::Arc;
use std::time::Duration;

use duckworker_api::DuckWorkerClaim;
use duckworker_client::Error;
use duckworker_core::claim::Phase;
use duckworker_core::plan::worker::Turn;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};

use super::act::{self, Progress};
use super::context::Context;
use super::sight::Sight;

/// More steps in one go than a claim needs, misses included.
const STEPS: usize = 64;

/// One reconcile of one claim.
///
/// # Errors
/// Whatever a step failed with; [`after_error`] says when to look again.
pub async fn reconcile(
    object: Arc<DuckWorkerClaim>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    // What is missing in a cache that is not filled yet is not gone.
    let filled = context.claims.wait_until_filled().await
        && context.caches.pools.wait_until_filled().await
        && context.caches.workers.wait_until_filled().await
        && context.caches.tenants.wait_until_filled().await;
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let claim = context.claims.named(&namespace, &name).filter(|_| filled);
    let Some(claim) = claim else { return Ok(Action::await_change()) };
    let claim = context.waiting.newest(claim);
    let tenant = format!("{namespace}/{}", claim.claim().tenant);
    if context.peers.turn_for(&tenant) == Turn::Others {
        // Whoever's turn it is looks, now or when the Leases change.
        return Ok(Action::await_change());
    }
    let timer = context.observer.reconcile("claim");
    let uid = claim.claim().key.uid.clone();
    let result = Box::pin(drive(&context, Sight::of(claim))).await;
    timer.finish(result.as_ref().map_or_else(|error| error.class().into(), |_| "ok"));
    let progress = result?;
    context.requeue.succeeded(&uid);
    Ok(match progress {
        Progress::Wait(time) => Action::requeue(time),
        Progress::Again | Progress::Rest => Action::await_change(),
    })
}

async fn drive(context: &Context, mut sight: Sight) -> Result<Progress, Error> {
    for _ in 0..STEPS {
        let step = sight.plan(context);
        tracing::debug!(claim = %sight.claim.claim().key, ?step, "next step");
        match act::carry_out(context, &mut sight, step).await? {
            Progress::Again => {}
            done => return Ok(done),
        }
    }
    Ok(Progress::Wait(Duration::from_secs(1)))
}

/// The claims that are not over.
pub fn unfinished(claims: &Store<DuckWorkerClaim>) -> Vec<ObjectRef<DuckWorkerClaim>> {
    let is_over = |claim: &DuckWorkerClaim| {
        let phase = claim.status.as_ref().and_then(|status| status.phase.parse().ok());
        phase.is_some_and(Phase::is_final)
    };
    let all = claims.state();
    all.iter().filter(|claim| !is_over(claim)).map(|claim| ObjectRef::from_obj(&**claim)).collect()
}

/// When to look at a claim again after an error.
#[allow(clippy::needless_pass_by_value, reason = "the library's signature")]
pub fn after_error(object: Arc<DuckWorkerClaim>, error: &Error, context: Arc<Context>) -> Action {
    context.requeue.after(&object.metadata, error)
}
