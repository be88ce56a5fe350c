//! How a control plane stops: no new workers, no new sessions; what nobody uses is given back,
//! what is in use is waited for; then its Lease goes.
//!
//! A worker with sessions is never taken from under them. What is still in use when the time is up
//! is kept as it is: another control plane may take it over within the controllers' grace.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use duckworker_core::{Reason, WorkerKey, WorkerState};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::held::HeldWorker;
use super::holding::Holding;
use super::{ControlPlane, Shared};
use crate::drain::Drained;
use crate::error::Error;
use crate::instance::Heartbeat;
use crate::outcome::{Origin, Outcome};

/// What becomes of workers that nobody uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idlers {
    /// They are parked for their tenants, and the controllers adopt them.
    Park,
    /// They are ended: drained, their pods and secrets deleted.
    Retire,
}

/// What became of everything that was held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Parked, for the controllers to adopt.
    pub parked: Vec<WorkerKey>,
    /// Retired, nothing of them is left.
    pub retired: Vec<WorkerKey>,
    /// Draining or undecided: the controllers finish them.
    pub unfinished: Vec<WorkerKey>,
    /// Kept as they are, since they have sessions.
    pub kept: Vec<WorkerKey>,
    /// Somebody else's by then: not touched.
    pub missed: Vec<WorkerKey>,
}

/// The end of one worker's tenure.
enum End {
    Parked,
    Retired,
    Unfinished,
    Kept,
    Missed,
}

/// How many workers are given back side by side.
const AT_ONCE: usize = 16;

impl ControlPlane {
    /// Stops: refuses claims and sessions from now on, waits for open sessions no longer than
    /// `patience`, gives back what nobody uses, and leaves.
    pub async fn shut_down(mut self, idlers: Idlers, patience: Duration) -> ShutdownReport {
        let deadline = Instant::now() + patience;
        let shared = Arc::clone(&self.shared);
        shared.stopping.send_replace(true);
        for holding in shared.all_held() {
            holding.close();
        }
        let own = shared.lifecycle.every_own().await;
        let ends = stream::iter(own).map(|seen| {
            let (key, state) = (seen.key().clone(), seen.state());
            let shared = Arc::clone(&shared);
            async move {
                let end = shared.give_back(&key, state, idlers, deadline).await;
                (key, end)
            }
        });
        let ends: Vec<_> = ends.buffer_unordered(AT_ONCE).collect().await;
        let mut report = ShutdownReport::default();
        for (key, end) in ends {
            report.list(&end).push(key);
        }
        let instance = Arc::clone(shared.lifecycle.instance());
        instance.start_draining();
        // Renewed to the last: nothing above was written by an instance that others took for dead.
        self.tasks.shutdown().await;
        Heartbeat::leave(&shared.connection, &instance).await;
        report
    }
}

impl ShutdownReport {
    fn list(&mut self, end: &End) -> &mut Vec<WorkerKey> {
        match end {
            End::Parked => &mut self.parked,
            End::Retired => &mut self.retired,
            End::Unfinished => &mut self.unfinished,
            End::Kept => &mut self.kept,
            End::Missed => &mut self.missed,
        }
    }
}

impl Shared {
    pub(super) fn all_held(&self) -> Vec<Arc<Holding>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    async fn give_back(
        self: Arc<Self>,
        key: &WorkerKey,
        state: WorkerState,
        idlers: Idlers,
        deadline: Instant,
    ) -> End {
        let left = || deadline.saturating_duration_since(Instant::now());
        match state {
            WorkerState::Draining => {
                let end = self.drainer.finish(key, Origin::Shutdown, left()).await;
                return drained(Ok(end));
            }
            WorkerState::HotIdle if idlers == Idlers::Park => return End::Parked,
            WorkerState::Reserved | WorkerState::Activating => return self.give_up(key).await,
            _ => {}
        }
        if let Some(holding) = self.holding(&key.uid) {
            let _ = tokio::time::timeout(left(), holding.unused()).await;
            if holding.sessions() > 0 {
                return End::Kept;
            }
            let held = HeldWorker { shared: Arc::clone(&self), holding };
            return match idlers {
                Idlers::Park => parked(held.release_for(Origin::Shutdown).await),
                Idlers::Retire => {
                    drained(held.drain_for(Reason::Shutdown, Origin::Shutdown, left()).await)
                }
            };
        }
        match (state, idlers) {
            (WorkerState::Hot, Idlers::Park) => {
                let lifecycle = &self.lifecycle;
                let release =
                    |lease| async move { lifecycle.release(&lease, Origin::Shutdown).await };
                let released = lifecycle.by_newest_lease(&key.uid, release).await;
                parked(released.map(|outcome| outcome.map(drop)))
            }
            // Nobody's sessions, and ours alone: the controllers adopt it.
            (WorkerState::Spawning | WorkerState::Idle, Idlers::Park) => End::Parked,
            _ => {
                let drain = self.drainer.drain(key, Reason::Shutdown, Origin::Shutdown, left());
                drained(drain.await)
            }
        }
    }

    /// A claim was cut off half-way: its worker never served, and is ended.
    async fn give_up(&self, key: &WorkerKey) -> End {
        match self.lifecycle.lease(&key.uid).await {
            Ok(Some(lease)) => match self.abandon(&lease, Reason::Shutdown).await {
                Ok(Outcome::Transitioned(())) => End::Retired,
                Ok(Outcome::Missed(_)) => End::Missed,
                Err(_) => End::Unfinished,
            },
            Ok(None) => End::Missed,
            Err(_) => End::Unfinished,
        }
    }
}

fn drained(end: Result<Drained, Error>) -> End {
    match end {
        Ok(Drained::Retired) => End::Retired,
        Ok(Drained::Unfinished(_)) => End::Unfinished,
        Ok(Drained::Missed(_)) => End::Missed,
        Err(error) => {
            tracing::warn!(%error, "a worker could not be drained; the controllers end it");
            End::Unfinished
        }
    }
}

fn parked(end: Result<Outcome<()>, Error>) -> End {
    match end {
        Ok(Outcome::Transitioned(())) => End::Parked,
        Ok(Outcome::Missed(_)) => End::Missed,
        Err(error) => {
            tracing::warn!(%error, "a worker could not be parked; the controllers end it");
            End::Unfinished
        }
    }
}
