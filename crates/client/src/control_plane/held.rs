//! A worker in hand.

use std::sync::Arc;
use std::time::Duration;

use duckworker_core::{Reason, Tenant, WorkerKey};

use super::Shared;
use super::holding::{Closed, Gone, Holding, Session};
use crate::drain::Drained;
use crate::error::Error;
use crate::outcome::{Origin, Outcome};
use crate::token::{WorkerLease, WorkerSnapshot};

/// A worker that this control plane holds for a tenant: Hot, its health watched and its
/// credentials kept fresh. Dropped without being released it stays held: the next
/// [`ControlPlane::shut_down`](super::ControlPlane::shut_down) gives it back.
#[must_use = "a worker that is held is used, released or drained"]
pub struct HeldWorker {
    pub(super) shared: Arc<Shared>,
    pub(super) holding: Arc<Holding>,
}

impl std::fmt::Debug for HeldWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldWorker").field("worker", self.key()).finish_non_exhaustive()
    }
}

impl HeldWorker {
    /// Which worker.
    pub fn key(&self) -> &WorkerKey {
        self.holding.worker.key()
    }

    /// For whom.
    pub fn tenant(&self) -> &Tenant {
        &self.holding.tenant
    }

    /// Where clients connect to, once its protocol serves something.
    pub fn endpoint(&self) -> Option<&str> {
        self.holding.worker.worker().status.endpoint.as_deref()
    }

    /// The worker as it became Hot: its server name, its secret, its pod.
    pub fn seen(&self) -> &WorkerSnapshot {
        &self.holding.worker
    }

    /// The newest lease on it: waits while a refresh is under way. None: it is not ours any more.
    ///
    /// # Errors
    /// When a write of it is not decided yet.
    pub async fn lease(&self) -> Result<Option<WorkerLease>, Error> {
        self.shared.lifecycle.lease(&self.key().uid).await
    }

    /// Counts a session on it until the value is dropped. None: it takes no new ones.
    pub fn open_session(&self) -> Option<Session> {
        self.holding.open_session()
    }

    /// How many sessions are open on it.
    pub fn sessions(&self) -> usize {
        self.holding.sessions()
    }

    /// Returns when it is not held any more, and why. The sessions on it are over then.
    pub async fn gone(&self) -> Gone {
        self.holding.gone().await
    }

    /// Takes no new sessions, waits until those that are open have ended, and parks it for its
    /// tenant: Hot → `HotIdle`. Cut off while it waits, or failed, it leaves the worker as it was.
    ///
    /// # Errors
    /// When the API server does not answer or refuses: it stays hot, and takes sessions again.
    pub async fn release(&self) -> Result<Outcome<()>, Error> {
        self.release_for(Origin::Library).await
    }

    pub(super) async fn release_for(&self, origin: Origin) -> Result<Outcome<()>, Error> {
        let closed = Closed::new(&self.holding);
        self.holding.unused().await;
        let lifecycle = &self.shared.lifecycle;
        let release = |lease| async move { lifecycle.release(&lease, origin).await };
        let outcome = lifecycle.by_newest_lease(&self.key().uid, release).await?;
        closed.stay();
        let why =
            if matches!(outcome, Outcome::Transitioned(_)) { Gone::Released } else { Gone::Taken };
        self.shared.let_go(&self.key().uid, why);
        Ok(outcome.map(drop))
    }

    /// Takes no new sessions, waits until those that are open have ended, and drains it to its
    /// end: its pod is deleted, then its secret. After `patience` it is left Draining, for the
    /// controllers to finish.
    ///
    /// # Errors
    /// When the drain cannot be written: it stays hot, and takes sessions again.
    pub async fn drain(&self, reason: Reason, patience: Duration) -> Result<Drained, Error> {
        self.drain_for(reason, Origin::Library, patience).await
    }

    pub(super) async fn drain_for(
        &self,
        reason: Reason,
        origin: Origin,
        patience: Duration,
    ) -> Result<Drained, Error> {
        let closed = Closed::new(&self.holding);
        self.holding.unused().await;
        let drained = self.shared.drainer.drain(self.key(), reason, origin, patience).await?;
        closed.stay();
        let why = if matches!(drained, Drained::Missed(_)) { Gone::Taken } else { Gone::Drained };
        self.shared.let_go(&self.key().uid, why);
        Ok(drained)
    }
}
