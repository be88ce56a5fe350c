//! The controller of tenants: it keeps their ledgers. Every instance watches them; each looks after
//! those that rendezvous hashing gives it, the same whose claims it binds.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the wiring |
//! | [`holdings`] | the workers of each tenant |
//! | [`context`] | what a reconcile needs, and what it remembers |
//! | [`wants`] | what the tenants whose claims wait may be given |
//! | [`reconcile`](mod@reconcile) | the loop: plan, act, plan again |

pub mod context;
pub mod holdings;
pub mod reconcile;
pub mod wants;

use std::sync::Arc;

use duckworker_api::DuckTenant;
use duckworker_client::TenantCache;
use futures::{Stream, StreamExt};
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
    tenants: TenantCache,
    changes: impl Stream<Item = Touched<DuckTenant>> + Send + 'static,
    held: UnboundedReceiver<ObjectRef<DuckTenant>>,
    marks: impl Stream<Item = ()> + Send + 'static,
    context: Arc<Context>,
    stop: CancellationToken,
) {
    Controller::for_stream(changes, tenants.store().clone())
        .with_config(controller::Config::default().concurrency(context.concurrency))
        .trigger_backoff(watches::Undelayed)
        .reconcile_on(told(held))
        // The tenants of an instance that came or went have another keeper now.
        .reconcile_all_on(marks)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile::reconcile, reconcile::after_error, context)
        .for_each(async |result| requeue::report(&result))
        .await;
}
