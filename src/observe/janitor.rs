//! What the janitor shows of itself: when each step last ran to its end, what it found, and what
//! became of that.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use duckworker_client::ServerClock;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::timeout;

/// `duckworker_janitor_*`.
#[derive(Clone, Debug, Default)]
pub struct JanitorMetrics {
    leads: Gauge,
    last_run: Family<StepLabels, Gauge<f64, AtomicU64>>,
    cut: Family<StepLabels, Counter>,
    found: Family<StepLabels, Counter>,
    results: Family<ResultLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    step: &'static str,
    result: &'static str,
}

impl JanitorMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "janitor_leads",
            "Whether this instance runs the janitor: 1 or 0",
            metrics.leads.clone(),
        );
        registry.register_with_unit(
            "janitor_last_run_timestamp",
            "When a step of the janitor last ran to its end, in the API server's time",
            Unit::Seconds,
            metrics.last_run.clone(),
        );
        registry.register(
            "janitor_cut",
            "Runs of a step that were ended by its deadline",
            metrics.cut.clone(),
        );
        registry.register(
            "janitor_found",
            "Things that a step found to act upon",
            metrics.found.clone(),
        );
        registry.register(
            "janitor_acts",
            "Acts of a step: acted, missed (somebody else's by now) or failed",
            metrics.results.clone(),
        );
        metrics
    }

    /// Whether this instance runs the janitor.
    pub fn leads(&self, leads: bool) {
        self.leads.set(leads.into());
    }

    /// The metrics of one step, by a name out of a fixed list.
    pub fn step(&self, step: &'static str) -> StepMetrics {
        StepMetrics { metrics: self.clone(), step }
    }
}

/// The metrics of one step.
#[derive(Clone, Debug)]
pub struct StepMetrics {
    metrics: JanitorMetrics,
    step: &'static str,
}

impl StepMetrics {
    /// It found so many things.
    pub fn found(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.metrics.found.get_or_create(&StepLabels { step: self.step }).inc_by(count);
    }

    /// One act ended: acted, missed or failed.
    pub fn result(&self, result: &'static str) {
        self.metrics.results.get_or_create(&ResultLabels { step: self.step, result }).inc();
    }

    /// Runs it, for no longer than it may take.
    pub async fn run<T>(
        &self,
        deadline: Duration,
        clock: &ServerClock,
        work: impl Future<Output = T>,
    ) {
        if timeout(deadline, work).await.is_ok() {
            self.ran(clock.now());
        } else {
            let step = self.step;
            tracing::warn!(
                step,
                "this step of the janitor took too long; it goes on at the next tick"
            );
            self.cut();
        }
    }

    fn ran(&self, at: Timestamp) {
        let at = at.as_duration().as_secs_f64();
        self.metrics.last_run.get_or_create(&StepLabels { step: self.step }).set(at);
    }

    fn cut(&self) {
        self.metrics.cut.get_or_create(&StepLabels { step: self.step }).inc();
    }
}
