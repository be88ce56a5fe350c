//! Instances that are dead, and the Leases that they leave.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use duckworker_client::Error;
use duckworker_client::instance::{Cause, Expiry, Judged, state_of};
use duckworker_core::plan::janitor::instances::is_forgettable;
use duckworker_core::{OwnerStanding, WorkerState};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use tokio::time::{Instant, interval};

use super::round::{Act, Round, state_of as worker_state};
use crate::observe::{EventReason, JanitorMetrics, Observer};

/// Marks dead and overdue instances, a few looks a lease time. Every instance does so, leader of
/// the janitor or not: when the leader is what died, nobody waits for the next one to be chosen.
pub async fn expire(
    mut expiry: Expiry,
    leases: Store<Lease>,
    period: Duration,
    observer: Observer,
    metrics: JanitorMetrics,
) {
    let mut ticks = interval(period);
    loop {
        ticks.tick().await;
        for judged in expiry.tick(&leases.state()).await {
            report(&judged, &observer, &metrics);
        }
    }
}

fn report(judged: &Judged, observer: &Observer, metrics: &JanitorMetrics) {
    let metrics = metrics.step(match judged.cause {
        Cause::StoodStill => "expire_dead",
        Cause::DrainedTooLong => "expire_overdue",
    });
    metrics.found(1);
    match &judged.marked {
        Ok(true) => {
            metrics.result("acted");
            let message = format!("instance {}: {}", holder(&judged.lease), judged.cause);
            observer.event_about(regarding(&judged.lease), EventReason::InstanceExpired, &message);
        }
        Ok(false) => metrics.result("missed"),
        Err(error) => {
            metrics.result("failed");
            let error = crate::text::chain(error);
            tracing::warn!(error, "an instance could not be marked expired; it is tried again");
        }
    }
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

fn regarding(lease: &Lease) -> ObjectReference {
    ObjectReference {
        api_version: Some("coordination.k8s.io/v1".to_owned()),
        kind: Some("Lease".to_owned()),
        namespace: lease.namespace(),
        name: lease.metadata.name.clone(),
        uid: lease.uid(),
        ..ObjectReference::default()
    }
}

impl Round<'_> {
    /// Deletes the Leases of instances that are dead for long and own nothing.
    pub(super) async fn leases(&mut self) {
        let owned = self.owned();
        let (now, limits) = (Instant::now(), self.limits());
        let mut found = self.tools.leases.state();
        found.retain(|lease| {
            let standing = state_of(lease).into();
            let dead_for = if standing == OwnerStanding::Expired {
                let first = self.memory.expired_leases.see(lease.uid().unwrap_or_default(), now);
                now.duration_since(first)
            } else {
                Duration::ZERO
            };
            let owned = owned.get(holder(lease)).copied().unwrap_or(0);
            is_forgettable(standing, dead_for, owned, &limits)
        });
        self.each(found, |lease| self.forget(lease)).await;
    }

    /// How many workers that are not over each owner has.
    fn owned(&self) -> HashMap<String, usize> {
        let mut owned = HashMap::new();
        let caches = self.tools.caches.iter();
        for worker in caches.flat_map(|caches| caches.workers.store().state()) {
            let is_over = worker_state(&worker).is_some_and(WorkerState::is_terminal);
            let holder = worker.status.as_ref().and_then(|status| status.owner.clone());
            if let Some(holder) = holder.filter(|_| !is_over) {
                *owned.entry(holder).or_default() += 1;
            }
        }
        owned
    }

    async fn forget(&self, lease: Arc<Lease>) -> Result<Act, Error> {
        let forgotten = self.tools.lifecycle.instance().directory().forget(&lease).await?;
        Ok(if forgotten { Act::Acted } else { Act::Missed })
    }
}
