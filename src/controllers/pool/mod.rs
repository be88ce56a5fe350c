//! The controller of pools. Every instance watches them; the one that runs the janitor acts.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the wiring |
//! | [`members`] | the workers of each pool |
//! | `believed.rs` | what is believed of one worker |
//! | [`budgets`] | the disruption budget of each pool |
//! | [`misses`] | the claims that found no worker |
//! | [`context`] | what a reconcile needs, and what it remembers |
//! | [`reconcile`](mod@reconcile) | the loop: plan, act, plan again |
//! | [`act`] | each step, carried out |
//! | [`told`] | the Events that a change of the status deserves |

pub mod act;
mod believed;
pub mod budgets;
pub mod context;
pub mod members;
pub mod misses;
pub mod reconcile;
pub mod told;

use std::sync::Arc;
use std::time::Duration;

use duckworker_api::DuckWorkerPool;
use duckworker_client::PoolCache;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, controller};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use self::context::Context;
use super::requeue;
use super::streams::told_once;
use super::watches::{self, Touched};

/// A claim changes its worker and itself several times within this: one look at the pool will do,
/// and nothing that is done for a pool is done sooner.
const TOGETHER: Duration = Duration::from_millis(25);

/// Runs the controller of one scope until it is told to stop; what is under way is finished.
pub async fn run(
    (pools, changes): (PoolCache, impl Stream<Item = Touched<DuckWorkerPool>> + Send + 'static),
    changed_pools: UnboundedReceiver<ObjectRef<DuckWorkerPool>>,
    budget_changes: impl Stream<Item = Touched<PodDisruptionBudget>> + Send + 'static,
    context: Arc<Context>,
    stop: CancellationToken,
) {
    let gained = context.leadership.gained();
    let filled = context.budgets.filled();
    // Until then nobody knows which pools have none.
    let budgets_known = stream::once(filled).map(|_| ());
    Controller::for_stream(changes, pools.store().clone())
        .with_config(controller::Config::default().concurrency(context.concurrency))
        .trigger_backoff(watches::Undelayed)
        .reconcile_on(told_once(changed_pools, TOGETHER))
        .reconcile_all_on(gained)
        .reconcile_all_on(budgets_known)
        .watches_stream(budget_changes, |budget| budgets::pool_ref(&budget))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile::reconcile, reconcile::after_error, context)
        .for_each(async |result| requeue::report(&result))
        .await;
}
