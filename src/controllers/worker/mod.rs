//! The controller of workers: watches them and what they have, asks the plan for the next step,
//! carries it out, and asks again.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the wiring |
//! | [`context`] | what a reconcile needs |
//! | [`sight`] | what is seen of one worker, as the plan wants it |
//! | [`reconcile`](mod@reconcile) | the loop: plan, act, plan again |
//! | [`act`] | each step, carried out |
//! | [`blocked`] | what is told when a step cannot be carried out |

pub mod act;
pub mod blocked;
pub mod context;
pub mod reconcile;
pub mod sight;

use std::sync::{Arc, OnceLock};

use duckworker_api::DuckWorker;
use futures::{Stream, StreamExt, stream};
use kube::Client;
use kube::runtime::{Controller, controller};
use tokio_util::sync::CancellationToken;

use self::context::{Caches, Context};
use super::watches::{self, Scope, WorkerFollower};

/// Tells the context which workers are gone.
struct Follower(Arc<OnceLock<Arc<Context>>>);

impl WorkerFollower for Follower {
    fn gone(&self, worker: &DuckWorker) {
        if let Some(context) = self.0.get() {
            context.forget(worker);
        }
    }
}

/// Runs the controller of one scope until it is told to stop; what is under way is finished.
///
/// `marks` yields whenever the Lease of an instance changed in more than its time of renewal.
pub async fn run(
    client: &Client,
    scope: &Scope,
    marks: impl Stream<Item = ()> + Send + 'static,
    make_context: impl FnOnce(Caches) -> Arc<Context>,
    stop: CancellationToken,
) {
    let known = Arc::new(OnceLock::new());
    let follower = Follower(Arc::clone(&known));
    let (workers, worker_changes) = watches::workers(client, scope, follower);
    let (pods, pod_changes) = watches::pods(client, scope);
    let (secrets, secret_changes) = watches::secrets(client, scope);
    let context = make_context(Caches { workers: workers.clone(), pods, secrets });
    // The watch starts below, so it finds the context there.
    let _ = known.set(Arc::clone(&context));

    let (peers, all) = (context.peers.clone(), workers.clone());
    let unheld = marks.flat_map(move |()| {
        stream::iter(watches::unheld(&all, |owner| peers.is_live(owner)))
    });
    Controller::for_stream(worker_changes, workers)
        .with_config(controller::Config::default().concurrency(context.concurrency))
        .watches_stream(pod_changes, |pod| watches::worker_of(&pod))
        .watches_stream(secret_changes, |secret| watches::worker_of(&secret))
        .reconcile_on(unheld)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile::reconcile, reconcile::after_error, context)
        .for_each(async |result| reconcile::report(&result))
        .await;
}
