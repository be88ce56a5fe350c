//! Every metric of the controller. No label holds a name out of the cluster, so the number of
//! series is bounded whatever people create.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use duckworker_core::{TransitionName, WorkerState};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::api_calls::ApiCallMetrics;
use super::janitor::JanitorMetrics;
use super::loops::LoopMetrics;

/// The registry and the handles of its metrics. Handles are cheap to clone.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    workers: Arc<WorkersByState>,
    /// Tries of transitions.
    pub transitions: TransitionMetrics,
    /// Calls to the API server.
    pub api_calls: ApiCallMetrics,
    /// Runs of the controllers.
    pub reconciles: ReconcileMetrics,
    /// Steps of the janitor.
    pub janitor: JanitorMetrics,
    /// Controllers that share our Leases and watch other namespaces.
    pub strangers: Gauge,
    /// The loops over our own workers.
    pub loops: LoopMetrics,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("duckworker");
        let workers = Arc::new(WorkersByState::default());
        registry.register_collector(Box::new(Arc::clone(&workers)));
        Self {
            transitions: TransitionMetrics::register(&mut registry),
            api_calls: ApiCallMetrics::register(&mut registry),
            reconciles: ReconcileMetrics::register(&mut registry),
            janitor: JanitorMetrics::register(&mut registry),
            loops: LoopMetrics::register(&mut registry),
            strangers: register_strangers(&mut registry),
            workers,
            registry,
        }
    }

    /// Says who counts workers: one for each scope. Until there is one, none are shown.
    pub fn count_workers_with(&self, census: Arc<dyn Census>) {
        self.workers.lock().push(census);
    }

    /// The `OpenMetrics` text.
    ///
    /// # Errors
    /// When a label cannot be written, which ours can.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

fn register_strangers(registry: &mut Registry) -> Gauge {
    let strangers = Gauge::default();
    registry.register(
        "controllers_of_another_scope",
        "Live controllers with the same Leases that watch other namespaces: should be 0",
        strangers.clone(),
    );
    strangers
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

// === transitions ===

/// `duckworker_transitions_total`: every try of a transition.
#[derive(Clone, Debug, Default)]
pub struct TransitionMetrics {
    tries: Family<TransitionLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransitionLabels {
    transition: &'static str,
    outcome: &'static str,
    origin: &'static str,
}

impl TransitionMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Tries of transitions, by how they ended and who asked for them";
        registry.register("transitions", help, metrics.tries.clone());
        metrics
    }

    /// Counts one try. Outcome (won, the name of the miss, or error) and origin (health, spawn,
    /// a janitor step…) are names out of fixed lists.
    pub fn record(&self, transition: TransitionName, outcome: &'static str, origin: &'static str) {
        let labels = TransitionLabels { transition: transition.into(), outcome, origin };
        self.tries.get_or_create(&labels).inc();
    }
}

// === reconciles ===

/// `duckworker_reconciles_total` and `duckworker_reconcile_duration_seconds`.
#[derive(Clone, Debug)]
pub struct ReconcileMetrics {
    runs: Family<RunLabels, Counter>,
    durations: Family<ControllerLabels, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

impl ReconcileMetrics {
    /// From a run that finds nothing to do to one that waits for its deadline twice.
    const BUCKETS: [f64; 12] =
        [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            runs: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(Self::BUCKETS)),
        };
        registry.register("reconciles", "Runs of a controller, by result", metrics.runs.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "How long a run of a controller took",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        metrics
    }

    /// Starts the clock of one run.
    pub fn start(&self, controller: &'static str) -> ReconcileTimer {
        let metrics = self.clone();
        ReconcileTimer { metrics, controller, result: "cancelled", started: Instant::now() }
    }
}

/// Counts one run when it is dropped; a run that is dropped on its way counts as cancelled.
#[derive(Debug)]
#[must_use = "a run is counted when its timer is dropped"]
pub struct ReconcileTimer {
    metrics: ReconcileMetrics,
    controller: &'static str,
    result: &'static str,
    started: Instant,
}

impl ReconcileTimer {
    /// Ends the run with a result out of a fixed list.
    pub fn finish(mut self, result: &'static str) {
        self.result = result;
    }
}

impl Drop for ReconcileTimer {
    fn drop(&mut self) {
        let Self { controller, result, .. } = *self;
        let seconds = self.started.elapsed().as_secs_f64();
        self.metrics.durations.get_or_create(&ControllerLabels { controller }).observe(seconds);
        self.metrics.runs.get_or_create(&RunLabels { controller, result }).inc();
    }
}

// === workers ===

/// Counts workers by state at the moment of a scrape: out of a cache, never out of the cluster.
pub trait Census: fmt::Debug + Send + Sync {
    /// How many workers are in this state.
    fn workers_in(&self, state: WorkerState) -> u64;
}

/// `duckworker_workers`, read when scraped: nothing has to keep it up to date.
#[derive(Debug, Default)]
struct WorkersByState {
    census: Mutex<Vec<Arc<dyn Census>>>,
}

impl WorkersByState {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<dyn Census>>> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for WorkersByState {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let census = self.lock();
        if census.is_empty() {
            return Ok(());
        }
        let help = "Workers in this instance's cache, by state";
        let mut family = encoder.encode_descriptor("workers", help, None, MetricType::Gauge)?;
        for state in WorkerState::ALL {
            let name: &'static str = state.into();
            let count = census.iter().map(|part| part.workers_in(state)).sum::<u64>();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            ConstGauge::new(count).encode(family.encode_family(&[("state", name)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct ThreeIdle;

    impl Census for ThreeIdle {
        fn workers_in(&self, state: WorkerState) -> u64 {
            if state == WorkerState::Idle { 3 } else { 0 }
        }
    }

    fn has(metrics: &Metrics, line: &str) {
        let page = metrics.encode().unwrap();
        assert!(page.lines().any(|l| l == line), "no line {line:?} in\n{page}");
    }

    #[test]
    fn tries_are_counted_by_outcome_and_origin() {
        let metrics = Metrics::new();
        for _ in 0..2 {
            metrics.transitions.record(TransitionName::MarkLost, "epoch", "health");
        }
        let name: &str = TransitionName::MarkLost.into();
        has(
            &metrics,
            &format!(
                "duckworker_transitions_total{{transition=\"{name}\",outcome=\"epoch\",origin=\"health\"}} 2"
            ),
        );
    }

    #[test]
    fn a_run_counts_when_it_ends() {
        let metrics = Metrics::new();
        metrics.reconciles.start("worker").finish("ok");
        drop(metrics.reconciles.start("worker"));
        has(&metrics, r#"duckworker_reconciles_total{controller="worker",result="ok"} 1"#);
        has(&metrics, r#"duckworker_reconciles_total{controller="worker",result="cancelled"} 1"#);
        has(&metrics, r#"duckworker_reconcile_duration_seconds_count{controller="worker"} 2"#);
    }

    #[test]
    fn workers_are_counted_when_scraped() {
        let metrics = Metrics::new();
        assert!(!metrics.encode().unwrap().contains("duckworker_workers"));
        metrics.count_workers_with(Arc::new(ThreeIdle));
        has(&metrics, r#"duckworker_workers{state="Idle"} 3"#);
        has(&metrics, r#"duckworker_workers{state="Lost"} 0"#);
    }
}
