//! What runs beside the controllers of an instance for as long as it lives, and how it leaves.

use std::sync::Arc;

use duckworker_client::instance::{Expiry, Office};
use duckworker_client::{Children, Connection, Instance, Role};
use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::{PredicateConfig, WatchStreamExt, predicates};
use tokio::sync::watch;

use super::Parts;
use crate::controllers::watches::{self, Scope};
use crate::controllers::worker::context::Caches;
use crate::janitor::instances::Expirer;
use crate::janitor::{self, Elector};
use crate::own_workers;

/// A container that was started anew need not wait for the Lease of the process before it.
pub(super) async fn expire_predecessors(instance: &Instance, connection: &Connection) {
    match instance.expire_predecessors(connection, Role::Controller).await {
        Ok(expired) => expired.iter().for_each(|owner| {
            tracing::info!(%owner, "an earlier incarnation of this pod: marked expired");
        }),
        Err(error) => tracing::warn!(%error, "earlier incarnations are left to expire"),
    }
}

/// A renewal concerns nobody; a mark, a newcomer or a departure does.
pub(super) async fn follow_leases(
    changes: impl Stream<Item = watches::Touched<Lease>> + Send,
    mark: watch::Sender<()>,
) {
    let marks = changes.predicate_filter(predicates::labels, PredicateConfig::default());
    let mut marks = std::pin::pin!(marks);
    while let Some(change) = marks.next().await {
        match change {
            Ok(_) => mark.send_replace(()),
            Err(error) => {
                tracing::warn!(
                    error = crate::text::chain(&error),
                    "the watch on Leases failed; it is tried again"
                );
            }
        }
    }
}

/// Tells, whenever that changes, which controllers share our Leases and not our scope. During a
/// rolling update that changes the scope it passes; otherwise one of them is set up wrongly.
pub(super) async fn check_scopes(parts: Arc<Parts>) {
    let (mut marks, mine) = (parts.marks.clone(), parts.settings.scope.to_string());
    let peers = parts.peers();
    let mut told = Vec::new();
    loop {
        let strangers = peers.strangers(&mine);
        for (owner, theirs) in strangers.iter().filter(|stranger| !told.contains(*stranger)) {
            tracing::error!(%owner, theirs, mine, "a controller with the same --lease-namespace watches other namespaces: workers may wait for nobody; give it a lease namespace of its own");
        }
        parts.ground.metrics.strangers.set(i64::try_from(strangers.len()).unwrap_or(i64::MAX));
        told = strangers;
        if marks.changed().await.is_err() {
            return;
        }
    }
}

/// Marks dead instances, a few looks a lease time.
pub(super) async fn expire(parts: Arc<Parts>) {
    let limit = parts.settings.janitor.draining_limit;
    let (connection, me) = (parts.ground.connection.clone(), Arc::clone(&parts.instance));
    let expiry = Expiry::new(connection, me, limit);
    // A look costs no call, and its lag counts twice: to notice the last renewal, and to be due.
    let expirer = Expirer {
        expiry,
        leases: parts.leases.clone(),
        period: parts.settings.lease.renew / 20,
        step_deadline: parts.settings.janitor.step_deadline,
        clock: parts.ground.connection.clock.clone(),
        observer: parts.observer.clone(),
        metrics: parts.ground.metrics.janitor.clone(),
    };
    expirer.run().await;
}

/// Looks after the health and the credentials of our own workers.
pub(super) fn look_after(parts: &Parts) -> impl Future<Output = ()> + use<> {
    let (observer, metrics) = (parts.observer.clone(), parts.ground.metrics.loops.clone());
    own_workers::look_after(parts.activator.clone(), observer, metrics, parts.settings.refresh)
}

/// Contends for the leader's Lease, and cleans up while we hold it.
pub(super) async fn clean(parts: Arc<Parts>, elector: Option<Elector>) {
    let stop = parts.leave.clone();
    let scopes = Vec::<Scope>::from(&parts.settings.scope).len();
    let mut filled = parts.caches.subscribe();
    let all_filled = filled.wait_for(|filled| filled.len() == scopes);
    let caches = match stop.run_until_cancelled(all_filled).await {
        Some(Ok(caches)) => caches.clone(),
        _ => return,
    };
    let tools = parts.janitor_tools(caches);
    let work = janitor::run(tools, parts.leadership.clone(), stop.clone());
    match elector {
        None => work.await,
        Some(elector) => drop(tokio::join!(elector.run(stop), work)),
    }
}

/// Announces that we leave, and waits until the others have adopted what we hold.
pub(super) async fn hand_over(parts: &Parts) {
    parts.leave.cancel();
    parts.instance.start_draining();
    let peers = parts.peers();
    if !peers.has_successor() {
        tracing::info!("no other controller lives: the next one adopts what this one held");
        return;
    }
    let mut office = parts.instance.office();
    let handed_over = async {
        let mut left = parts.lifecycle.holds();
        while *left.borrow_and_update() > 0 {
            if left.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = handed_over => tracing::info!("everything is handed over"),
        () = tokio::time::sleep(parts.settings.shutdown_grace) => {
            tracing::warn!("the time to hand over is up; the others adopt the rest");
        }
        _ = office.wait_for(|office| *office == Office::Over) => {}
    }
}

impl Parts {
    fn janitor_tools(&self, caches: Vec<Caches>) -> janitor::Tools {
        janitor::Tools {
            caches,
            leases: self.leases.clone(),
            peers: self.peers(),
            lifecycle: self.lifecycle.clone(),
            children: Children::new(self.lifecycle.clone()),
            clock: self.ground.connection.clock.clone(),
            observer: self.observer.clone(),
            metrics: self.ground.metrics.janitor.clone(),
            times: self.settings.janitor,
            concurrency: self.settings.concurrency.get(),
        }
    }
}
