//! What the loops over an instance's own workers show of themselves.

use duckworker_client::refresh::RefreshResult;
use duckworker_core::plan::health::Finding;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// `duckworker_health_checks_total` and `duckworker_credential_refreshes_total`.
#[derive(Clone, Debug, Default)]
pub struct LoopMetrics {
    checks: Family<Labels, Counter>,
    refreshes: Family<Labels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

impl LoopMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "health_checks",
            "Health checks of own workers: healthy, failed, broken, stopping or unclear",
            metrics.checks.clone(),
        );
        registry.register(
            "credential_refreshes",
            "Own workers due for their tenant's credentials: refreshed, unchanged, missed or failed",
            metrics.refreshes.clone(),
        );
        metrics
    }

    /// A check was made.
    pub fn checked(&self, finding: Finding) {
        self.checks.get_or_create(&Labels { result: finding.into() }).inc();
    }

    /// A worker was due.
    pub fn refreshed(&self, result: RefreshResult) {
        self.refreshes.get_or_create(&Labels { result: result.into() }).inc();
    }
}
