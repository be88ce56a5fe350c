//! The loop: ask the plan, carry its step out, ask again, until there is nothing to do but wait.

use std::sync::Arc;
use std::time::Duration;

use duckworker_api::{DuckWorker, parse};
use duckworker_client::{Error, WorkerSnapshot};
use duckworker_core::Uid;
use duckworker_core::plan::worker::{self as plan, Turn};
use duckworker_core::planted::{Bug, planted};
use kube::Resource;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use super::act::{self, Progress};
use super::context::Context;
use super::sight::Sight;
use super::unwritten;
use crate::observe::EventReason;

/// More steps in one go than any worker needs. Reaching it means that two steps undo each other.
const STEPS: usize = 24;

/// One reconcile of one worker.
///
/// # Errors
/// Whatever a step failed with; [`after_error`] says when to look again.
pub async fn reconcile(object: Arc<DuckWorker>, context: Arc<Context>) -> Result<Action, Error> {
    // What is missing in a cache that is not filled yet is not gone.
    if !context.caches.wait_until_ready().await {
        return Ok(Action::await_change());
    }
    let Some(cached) = context.workers.get(&ObjectRef::from_obj(&*object)) else {
        tell_unreadable(&context, &object);
        return Ok(Action::await_change());
    };
    let timer = context.observer.reconcile("worker");
    let uid = cached.key().uid.clone();
    let result = Box::pin(look_and_drive(&context, cached)).await;
    timer.finish(result.as_ref().map_or_else(|error| error.class().into(), |_| "ok"));
    Ok(match result? {
        Progress::Wait(time) => Action::requeue(time),
        Progress::Rest | Progress::Again => {
            context.requeue.succeeded(&uid);
            Action::await_change()
        }
    })
}

/// A worker that is gone, or not for this version to touch. One instance tells of the latter.
fn tell_unreadable(context: &Context, object: &DuckWorker) {
    let uid = object.metadata.uid.as_ref().and_then(|uid| Uid::new(uid).ok());
    let mine = uid.is_some_and(|uid| context.peers.turn(&uid) == Turn::Mine);
    if mine && let Err(why) = parse::worker(object) {
        let message = format!("left alone: this version of the controller cannot read it: {why}");
        let regarding = object.object_ref(&());
        context.observer.event_about(regarding, EventReason::WorkerUnreadable, &message);
    }
}

async fn look_and_drive(context: &Context, cached: WorkerSnapshot) -> Result<Progress, Error> {
    let mut sight = Sight::of(context, cached).await?;
    drive(context, &mut sight).await
}

async fn drive(context: &Context, sight: &mut Sight) -> Result<Progress, Error> {
    for _ in 0..STEPS {
        let step = plan::next(&sight.view(context));
        tracing::debug!(worker = %sight.snapshot.key(), ?step, "next step");
        match act::carry_out(context, sight, step).await {
            Ok(Progress::Again) => sight.renew(context).await?,
            Err(error) if error.is_too_large() && sight.snapshot.worker().is_deleting() => {
                return unwritten::end(context, sight, error).await;
            }
            done => return done,
        }
    }
    tracing::error!(worker = %sight.snapshot.key(), "the steps of this worker do not come to an end");
    Ok(Progress::Wait(Duration::from_secs(30)))
}

/// When to look at a worker again after an error.
#[allow(clippy::needless_pass_by_value, reason = "the library's signature")]
pub fn after_error(object: Arc<DuckWorker>, error: &Error, context: Arc<Context>) -> Action {
    if planted(Bug::ErrorsForgotten) {
        return Action::await_change();
    }
    context.requeue.after(&object.metadata, error)
}
