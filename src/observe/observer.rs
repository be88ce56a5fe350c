//! Events and metrics of what the controllers do, behind one handle.

use std::sync::Arc;

use duckworker_client::{TransitionObserver, TransitionSeen, WorkerCache, WorkerSnapshot};
use duckworker_core::{Miss, WorkerState};
use k8s_openapi::api::core::v1::ObjectReference;

use super::events::{EventReason, Events};
use super::metrics::{Census, Metrics, ReconcileTimer, TransitionMetrics};

/// What controllers tell about themselves. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Observer {
    metrics: Arc<Metrics>,
    events: Events,
}

impl Observer {
    /// Over these.
    pub const fn new(metrics: Arc<Metrics>, events: Events) -> Self {
        Self { metrics, events }
    }

    /// Tells an Event about a worker.
    pub fn event(&self, worker: &WorkerSnapshot, reason: EventReason, message: &str) {
        let key = worker.key();
        let regarding = ObjectReference {
            api_version: Some("duckworker.dev/v1alpha1".to_owned()),
            kind: Some("DuckWorker".to_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(key.uid.to_string()),
            ..ObjectReference::default()
        };
        self.event_about(regarding, reason, message);
    }

    /// Tells an Event about anything else.
    pub fn event_about(&self, regarding: ObjectReference, reason: EventReason, message: &str) {
        self.events.tell(regarding, reason, message);
    }

    /// Starts the clock of one reconcile.
    pub fn reconcile(&self, controller: &'static str) -> ReconcileTimer {
        self.metrics.reconciles.start(controller)
    }
}

impl Census for WorkerCache {
    fn workers_in(&self, state: WorkerState) -> u64 {
        let name: &str = state.into();
        let objects = self.store().state();
        let there = objects.iter().filter(|worker| {
            worker.status.as_ref().map_or("Pending", |status| &status.state) == name
        });
        u64::try_from(there.count()).unwrap_or(u64::MAX)
    }
}

/// Counts transitions, and hands them on.
pub struct CountTransitions {
    /// Where they are counted.
    pub metrics: TransitionMetrics,
    /// Who else is told.
    pub listener: Arc<dyn TransitionObserver>,
}

impl TransitionObserver for CountTransitions {
    fn observe(&self, seen: &TransitionSeen<'_>) {
        self.metrics.record(seen.name, outcome_label(seen.outcome), seen.origin.into());
        self.listener.observe(seen);
    }
}

const fn outcome_label(outcome: Option<Result<(), Miss>>) -> &'static str {
    match outcome {
        None => "error",
        Some(Ok(())) => "transitioned",
        Some(Err(Miss::State)) => "miss_state",
        Some(Err(Miss::Owner)) => "miss_owner",
        Some(Err(Miss::Epoch)) => "miss_epoch",
        Some(Err(Miss::Moved)) => "miss_moved",
        Some(Err(Miss::OwnerAlive)) => "miss_owner_alive",
        Some(Err(Miss::Assignment)) => "miss_assignment",
        Some(Err(Miss::Capacity)) => "miss_capacity",
        Some(Err(Miss::Gone)) => "miss_gone",
    }
}
