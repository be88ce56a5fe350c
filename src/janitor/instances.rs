//! Instances that are dead, and the Leases that they leave.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use duckworker_client::instance::{Cause, Due, Expiry, state_of};
use duckworker_client::{Error, ServerClock};
use duckworker_core::plan::janitor::instances::is_forgettable;
use duckworker_core::{OwnerStanding, WorkerState};
use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use strum::IntoEnumIterator;
use tokio::time::{Instant, interval};

use super::round::{Act, Round, state_of as worker_state};
use crate::observe::{EventReason, JanitorMetrics, Observer, StepMetrics};

/// What marks dead and overdue instances.
pub struct Expirer {
    /// Who is due.
    pub expiry: Expiry,
    /// The Leases of instances.
    pub leases: Store<Lease>,
    /// From one look to the next.
    pub period: Duration,
    /// What each of the two steps may take.
    pub step_deadline: Duration,
    /// The API server's time.
    pub clock: ServerClock,
    /// Events.
    pub observer: Observer,
    /// The metrics of the steps.
    pub metrics: JanitorMetrics,
}

impl Expirer {
    /// Marks dead instances, then overdue ones, a few looks a lease time. Every instance does so,
    /// leader of the janitor or not: when the leader is what died, nobody waits for the next one
    /// to be chosen.
    pub async fn run(mut self) {
        let mut ticks = interval(self.period);
        loop {
            ticks.tick().await;
            let due = self.expiry.look(&self.leases.state());
            for cause in Cause::iter() {
                let due = due.iter().filter(|due| due.cause == cause);
                let step = self.metrics.step(step_of(cause));
                let work = join_all(due.map(|due| self.mark(due, &step)));
                step.run(self.step_deadline, &self.clock, work).await;
            }
        }
    }

    async fn mark(&self, due: &Due, metrics: &StepMetrics) {
        metrics.found(1);
        match self.expiry.mark(due).await {
            Ok(true) => {
                metrics.result("acted");
                let message = format!("instance {}: {}", holder(&due.lease), due.cause);
                let lease = regarding(&due.lease);
                self.observer.event_about(lease, EventReason::InstanceExpired, &message);
            }
            Ok(false) => metrics.result("missed"),
            Err(error) => {
                metrics.result("failed");
                let error = crate::text::chain(&error);
                tracing::warn!(error, "an instance could not be marked expired; it is tried again");
            }
        }
    }
}

const fn step_of(cause: Cause) -> &'static str {
    match cause {
        Cause::StoodStill => "expire_dead",
        Cause::DrainedTooLong => "expire_overdue",
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
