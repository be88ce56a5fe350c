//! Claims by the library at a steady rate, and how long each took.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use duckworker_client::{Origin, WorkerLifecycle, WorkerSnapshot};
use duckworker_core::Tenant;
use duckworker_e2e::bench::idle::IdleWorkers;
use duckworker_e2e::scenario::won;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// When a claim was due, and how long it took from then.
type Sample = (Instant, Duration);

/// Claims that go on until they are told to stop.
pub struct Claims {
    stop: CancellationToken,
    task: JoinHandle<Result<Vec<Sample>>>,
}

/// How long the claims took.
pub struct Times(Vec<Sample>);

impl Claims {
    /// Makes so many idle workers, and begins to claim them, so many a second.
    pub async fn start(
        idle: &IdleWorkers<'_>,
        claimer: WorkerLifecycle,
        rate: u32,
        workers: u32,
    ) -> Result<Self> {
        let workers = idle.make(workers as usize).await?;
        let seen =
            workers.iter().map(|worker| idle.seen(worker).context("the watch lost a worker"));
        let seen = seen.collect::<Result<Vec<_>>>()?;
        let stop = CancellationToken::new();
        let period = Duration::from_secs(1) / rate;
        let task = tokio::spawn(claim_all(seen, claimer, period, stop.clone()));
        Ok(Self { stop, task })
    }

    /// Ends them.
    pub async fn stop(self) -> Result<Times> {
        self.stop.cancel();
        Ok(Times(self.task.await??))
    }
}

impl Times {
    /// Of those that were due in between.
    pub fn between(&self, from: Instant, until: Instant) -> Vec<Duration> {
        let due = self.0.iter().filter(|(due, _)| (from..until).contains(due));
        due.map(|(_, took)| *took).collect()
    }
}

/// An open loop: a slow claim holds up no other.
async fn claim_all(
    seen: Vec<WorkerSnapshot>,
    claimer: WorkerLifecycle,
    period: Duration,
    stop: CancellationToken,
) -> Result<Vec<Sample>> {
    let begun = Instant::now();
    let mut claims = JoinSet::new();
    for (number, worker) in (0..).zip(seen) {
        let due = begun + period * number;
        let wait = stop.run_until_cancelled(tokio::time::sleep_until(due.into()));
        if wait.await.is_none() {
            break;
        }
        let claimer = claimer.clone();
        claims.spawn(async move {
            let tenant = Tenant::new("acme")?;
            let outcome = claimer.claim_idle(&worker, tenant, None, Origin::Library).await?;
            drop(won(outcome)?);
            anyhow::Ok((due, due.elapsed()))
        });
    }
    claims.join_all().await.into_iter().collect()
}
