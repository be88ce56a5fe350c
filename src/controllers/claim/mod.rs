//! The controller of claims. Every instance watches them; each looks after the tenants that
//! rendezvous hashing gives it.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the wiring |
//! | [`waiting`] | the claims that wait, by pool |
//! | [`context`] | what a reconcile needs |
//! | [`sight`] | what is seen of one claim, as the plan wants it |
//! | [`reconcile`](mod@reconcile) | the loop: plan, act, plan again |
//! | [`act`] | each step, carried out |

pub mod act;
pub mod context;
pub mod reconcile;
pub mod sight;
pub mod waiting;

use std::sync::Arc;

use duckworker_api::DuckWorkerClaim;
use duckworker_client::ClaimCache;
use futures::{Stream, StreamExt, stream};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, controller};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use self::context::Context;
use super::requeue;
use super::streams::told;
use super::watches::{self, Touched};

/// Runs the controller of one scope until it is told to stop; what is under way is finished.
///
/// `marks` yields whenever the Lease of an instance changed in more than its time of renewal.
pub async fn run(
    claims: ClaimCache,
    changes: impl Stream<Item = Touched<DuckWorkerClaim>> + Send + 'static,
    due: UnboundedReceiver<ObjectRef<DuckWorkerClaim>>,
    marks: impl Stream<Item = ()> + Send + 'static,
    context: Arc<Context>,
    stop: CancellationToken,
) {
    let all = claims.store().clone();
    // The tenants of an instance that came or went have another binder now.
    let moved = marks.flat_map(move |()| stream::iter(reconcile::unfinished(&all)));
    Controller::for_stream(changes, claims.store().clone())
        .with_config(controller::Config::default().concurrency(context.concurrency))
        .trigger_backoff(watches::Undelayed)
        .reconcile_on(told(due))
        .reconcile_on(moved)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile::reconcile, reconcile::after_error, context)
        .for_each(async |result| requeue::report(&result))
        .await;
}
