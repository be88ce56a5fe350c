//! The two loops over this instance's own workers, and what they tell people: their health, and
//! the credentials of their tenants.

use std::sync::Arc;

use duckworker_client::refresh::{RefreshObserver, RefreshResult};
use duckworker_client::{
    Activator, DeletePermit, HealthFollower, HealthLoop, HealthSettings, RefreshSettings,
    Refresher, WorkerSnapshot,
};
use duckworker_core::Reason;
use duckworker_core::plan::health::Finding;
use futures::future::BoxFuture;

use crate::controllers::worker::endings::Ending;
use crate::observe::Observer;
use crate::observe::loops::LoopMetrics;
use crate::settings::RefreshTimes;

/// Runs both loops, for ever.
pub async fn look_after(
    activator: Activator,
    observer: Observer,
    metrics: LoopMetrics,
    times: RefreshTimes,
) {
    let follower = Arc::new(Follower { observer, metrics: metrics.clone() });
    let protocol = Arc::clone(activator.protocol());
    let lifecycle = activator.lifecycle().clone();
    let health = HealthLoop::new(lifecycle, protocol, follower, HealthSettings::default());
    let settings = RefreshSettings {
        period: times.interval,
        lifetime: times.lifetime,
        ..RefreshSettings::default()
    };
    let refresher = Refresher::new(activator, settings).observed_by(Arc::new(Counter(metrics)));
    tokio::join!(health.run(), refresher.run());
}

/// Tells people, and leaves the rest to the worker's own controller: the write that was won wakes
/// it, and it makes its permit anew from what was won.
struct Follower {
    observer: Observer,
    metrics: LoopMetrics,
}

impl HealthFollower for Follower {
    fn checked(&self, finding: Finding) {
        self.metrics.checked(finding);
    }

    fn lost<'a>(
        &'a self,
        worker: &'a WorkerSnapshot,
        reason: Reason,
        _: DeletePermit,
    ) -> BoxFuture<'a, ()> {
        if let Some((event, message)) = Ending::Lost.event(reason, worker.worker(), None) {
            self.observer.event(worker, event, &message);
        }
        Box::pin(std::future::ready(()))
    }

    fn draining<'a>(&'a self, worker: &'a WorkerSnapshot, _: DeletePermit) -> BoxFuture<'a, ()> {
        tracing::info!(worker = %worker.key(), "it says that it stops: it drains now");
        Box::pin(std::future::ready(()))
    }

    fn stale(&self, worker: &WorkerSnapshot) {
        tracing::debug!(worker = %worker.key(), "somebody else's by now");
    }
}

struct Counter(LoopMetrics);

impl RefreshObserver for Counter {
    fn refreshed(&self, result: RefreshResult) {
        self.0.refreshed(result);
    }
}
