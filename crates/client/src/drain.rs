//! Draining a worker of ours to its end: Draining → its pod told to stop → seen gone → its secret
//! swept → Retired. Each step proves what the next one needs, so the order cannot be got wrong.
//!
//! Whatever goes wrong on the way leaves the worker Draining: whoever adopts it goes on from there.

use std::time::Duration;

use backon::BackoffBuilder;
use duckworker_core::{Miss, Reason, WorkerKey, WorkerState};
use tokio::time::Instant;

use crate::children::{Children, Grace, PodStanding};
use crate::error::Error;
use crate::lifecycle::WorkerLifecycle;
use crate::outcome::{Origin, Outcome};
use crate::token::{PodGone, Swept};

/// How a drain ended.
#[derive(Debug)]
pub enum Drained {
    /// Nothing of the worker is left, and it is Retired.
    Retired,
    /// Its pod was not gone in time, or the API server did not let us go on: it stays Draining.
    Unfinished(Option<Error>),
    /// It was somebody else's, or on another way by then. Nothing of it was touched after that.
    Missed(Miss),
}

/// Drains workers of one instance.
#[derive(Clone)]
pub struct Drainer {
    lifecycle: WorkerLifecycle,
    children: Children,
}

impl Drainer {
    /// For the workers of this instance.
    pub fn new(lifecycle: WorkerLifecycle) -> Self {
        let children = Children::new(lifecycle.clone());
        Self { lifecycle, children }
    }

    /// Drains a worker and waits for its end, no longer than this.
    ///
    /// # Errors
    /// When the drain itself could not be written. What fails after that is in [`Drained`].
    pub async fn drain(
        &self,
        key: &WorkerKey,
        reason: Reason,
        origin: Origin,
        patience: Duration,
    ) -> Result<Drained, Error> {
        let lifecycle = &self.lifecycle;
        let drain = |lease| async move { lifecycle.drain(&lease, reason, origin).await };
        match self.lifecycle.by_newest_lease(&key.uid, drain).await? {
            // The permit is made again, from what stands there, for each try below.
            Outcome::Transitioned(_) => Ok(self.finish(key, origin, patience).await),
            Outcome::Missed(miss) => Ok(Drained::Missed(miss)),
        }
    }

    /// Goes on with a worker of ours that is Draining already.
    pub async fn finish(&self, key: &WorkerKey, origin: Origin, patience: Duration) -> Drained {
        let deadline = Instant::now() + patience;
        let mut pauses = pauses();
        loop {
            let failure = match self.step(key, origin).await {
                Ok(Some(end)) => return end,
                Ok(None) => None,
                Err(error) => {
                    tracing::warn!(worker = %key, %error, "its drain is tried again");
                    Some(error)
                }
            };
            let pause = pauses.next().unwrap_or(LONGEST);
            if Instant::now() + pause > deadline {
                return Drained::Unfinished(failure);
            }
            // The role of a control plane has no right to watch pods: it asks, ever less often.
            tokio::time::sleep(pause).await;
        }
    }

    /// As far as it goes now; none: its pod takes its time.
    async fn step(&self, key: &WorkerKey, origin: Origin) -> Result<Option<Drained>, Error> {
        let seen = self.lifecycle.store().observe(&key.namespace, &key.name).await?;
        let Some(seen) = seen.filter(|seen| seen.key() == key) else {
            return Ok(Some(Drained::Missed(Miss::Gone)));
        };
        let ours = seen.worker().status.owner() == Some(self.lifecycle.instance().owner());
        let permit = seen.condemned().filter(|_| ours && seen.state() == WorkerState::Draining);
        let Some(permit) = permit else { return Ok(Some(Drained::Missed(Miss::State))) };
        match self.children.pod_standing(permit).await? {
            PodStanding::Gone(gone) => self.retire(key, gone, origin).await.map(Some),
            PodStanding::There(permit, pod) => {
                if pod.metadata.deletion_timestamp.is_none() {
                    let grace = Grace::Within(seen.worker().spec.drain_timeout);
                    drop(self.children.delete_pod(permit, &pod, grace).await?);
                }
                Ok(None)
            }
        }
    }

    async fn retire(
        &self,
        key: &WorkerKey,
        gone: PodGone,
        origin: Origin,
    ) -> Result<Drained, Error> {
        let swept: Swept = self.children.sweep_secrets(gone).await?;
        let (lifecycle, swept) = (&self.lifecycle, &swept);
        let retire = |lease| async move { lifecycle.retire_drained(&lease, swept, origin).await };
        Ok(match self.lifecycle.by_newest_lease(&key.uid, retire).await? {
            Outcome::Transitioned(_) => Drained::Retired,
            Outcome::Missed(miss) => Drained::Missed(miss),
        })
    }
}

const LONGEST: Duration = Duration::from_secs(2);

fn pauses() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(LONGEST)
        .without_max_times()
        .build()
}
