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
//! | [`activating`] | the end of an activation |
//! | [`blocked`] | what is told when a step cannot be carried out |
//! | [`dedicated`] | the claim of a worker that was made for its tenant |
//! | [`endings`] | the Event that the end of a worker deserves |
//! | [`unwritten`] | the end of a worker whose status cannot be written |
//! | [`first_check`] | whether the process of a ready pod is well |
//! | [`marking`] | whether its pod says that it is busy or idle |
//! | [`made`] | what was made and is not in the caches yet |

pub mod act;
pub mod activating;
pub mod blocked;
pub mod context;
pub mod dedicated;
pub mod endings;
pub mod first_check;
pub mod made;
pub mod marking;
pub mod reconcile;
pub mod sight;
pub mod unwritten;

use std::sync::{Arc, OnceLock};

use duckworker_api::DuckWorker;
use duckworker_client::{ClaimCache, Connection, PoolCache, TenantCache};
use duckworker_core::Uid;
use futures::{Stream, StreamExt, stream};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use kube::runtime::{Controller, controller};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::context::{Caches, Context};
use self::made::JustMade;
use super::links::Links;
use super::nodes;
use super::requeue;
use super::secrets;
use super::streams::told;
use super::watches::{self, Scope, Told, WorkerFollower};

/// Tells the context which workers are gone, and the pools what became of theirs.
struct Follower {
    context: Arc<OnceLock<Arc<Context>>>,
    links: Arc<Links>,
}

impl WorkerFollower for Follower {
    fn follow(&self, event: &Event<DuckWorker>) {
        if let Event::Delete(worker) = event
            && let Some(context) = self.context.get()
        {
            context.forget(worker);
        }
        self.links.worker_followed(event);
    }
}

/// Runs the controller of one scope until it is told to stop; what is under way is finished.
///
/// `marks` yields whenever the Lease of an instance changed in more than its time of renewal,
/// `seated` the workers that their pool may have come to name.
pub async fn run(
    connection: &Connection,
    scope: &Scope,
    marks: impl Stream<Item = ()> + Send + 'static,
    (pools, claims, tenants, links): (PoolCache, ClaimCache, TenantCache, Arc<Links>),
    seated: UnboundedReceiver<ObjectRef<DuckWorker>>,
    make_context: impl FnOnce(Caches) -> Arc<Context>,
    stop: CancellationToken,
) {
    let known = Arc::new(OnceLock::new());
    let members = Arc::clone(&links.members);
    let follower = Follower { context: Arc::clone(&known), links };
    let (workers, worker_changes) = watches::workers(connection, scope, follower);
    let made = Arc::new(JustMade::default());
    let (relisted, relists) = watch::channel(());
    let follow = |seen: fn(&JustMade, &Uid)| {
        let (made, relisted) = (Arc::clone(&made), relisted.clone());
        move |told| match told {
            Told::Shown(worker) => seen(&made, &worker),
            Told::Relisted => {
                relisted.send_replace(());
            }
        }
    };
    let (pods, pod_changes) = watches::pods(connection, scope, follow(JustMade::pod_seen));
    let (secrets, secret_changes) =
        secrets::watch(connection, scope, follow(JustMade::secret_seen));
    let (nodes, node_changes) = nodes::watch(connection);
    let on_node = pods.clone();
    let filled = context::filled(pods.clone(), secrets.clone());
    let caches = Caches {
        workers: workers.clone(),
        pools,
        claims,
        tenants,
        members,
        pods,
        secrets,
        nodes,
        filled,
        made,
    };
    let context = make_context(caches);
    // The watch starts below, so it finds the context there.
    let _ = known.set(Arc::clone(&context));

    let (peers, all) = (context.peers.clone(), workers.store().clone());
    let concerned = marks.flat_map(move |()| {
        stream::iter(watches::concerned(&all, |owner| peers.is_live_controller(owner)))
    });
    Controller::for_stream(worker_changes, workers.store().clone())
        .with_config(controller::Config::default().concurrency(context.concurrency))
        .trigger_backoff(watches::Undelayed)
        .watches_stream(pod_changes, |pod| watches::worker_of(&pod))
        .reconcile_on(secret_changes)
        .watches_stream(node_changes, move |node| nodes::workers_on(&on_node, &node))
        .reconcile_on(concerned)
        .reconcile_on(told(seated))
        .reconcile_all_on(watches::changes(relists))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile::reconcile, reconcile::after_error, context)
        .for_each(async |result| requeue::report(&result))
        .await;
}
