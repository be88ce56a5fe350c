//! A worker in hand.

use std::sync::Arc;
use std::time::Duration;

use duckworker_core::{Reason, Tenant, WorkerKey};
use tokio::sync::watch;

use super::Shared;
use crate::drain::Drained;
use crate::error::Error;
use crate::outcome::{Origin, Outcome};
use crate::token::{WorkerLease, WorkerSnapshot};

/// Why a worker is not held any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It was released, and is parked for its tenant.
    Released,
    /// It drains, or has: we or somebody else ended it in good order.
    Drained,
    /// It ran and is gone, with its sessions.
    Lost(Reason),
    /// It is somebody else's.
    Taken,
}

/// What is known of a worker in hand, shared by all who know of it.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) worker: WorkerSnapshot,
    pub(super) tenant: Tenant,
    use_of: watch::Sender<Use>,
}

/// How it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    sessions: usize,
    /// New sessions are taken.
    open: bool,
    /// Somebody sees to its end already.
    leaving: bool,
    gone: Option<Gone>,
}

impl Holding {
    pub(super) fn new(worker: WorkerSnapshot, tenant: Tenant) -> Arc<Self> {
        let use_of =
            watch::Sender::new(Use { sessions: 0, open: true, leaving: false, gone: None });
        Arc::new(Self { worker, tenant, use_of })
    }

    /// From now on it takes no new sessions.
    pub(super) fn close(&self) {
        self.use_of.send_modify(|used| used.open = false);
    }

    fn reopen(&self) {
        self.use_of.send_modify(|used| used.open = used.gone.is_none() && !used.leaving);
    }

    /// Takes no new sessions any more. True for the first who asks: it is his to end.
    pub(super) fn begin_leaving(&self) -> bool {
        self.use_of.send_if_modified(|used| {
            used.open = false;
            !std::mem::replace(&mut used.leaving, true)
        })
    }

    /// Tells everybody who waits, once: the first reason stays.
    pub(super) fn end(&self, why: Gone) {
        self.use_of.send_modify(|used| {
            used.open = false;
            used.gone.get_or_insert(why);
        });
    }

    pub(super) fn sessions(&self) -> usize {
        self.use_of.borrow().sessions
    }

    /// Waits until no session is open on it, or it is gone.
    pub(super) async fn unused(&self) {
        let mut used = self.use_of.subscribe();
        let unused = |used: &Use| used.sessions == 0 || used.gone.is_some();
        let _ = used.wait_for(unused).await;
    }

    async fn gone(&self) -> Gone {
        let mut used = self.use_of.subscribe();
        // The sender lives as long as this.
        used.wait_for(|used| used.gone.is_some())
            .await
            .ok()
            .and_then(|used| used.gone)
            .unwrap_or(Gone::Taken)
    }
}

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
        let opened = self.holding.use_of.send_if_modified(|used| {
            used.sessions += usize::from(used.open);
            used.open
        });
        opened.then(|| Session(Arc::clone(&self.holding)))
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

/// A worker that takes no new sessions for now; unless it stays so, it takes them again.
struct Closed<'a>(Option<&'a Holding>);

impl<'a> Closed<'a> {
    fn new(holding: &'a Holding) -> Self {
        holding.close();
        Self(Some(holding))
    }

    fn stay(mut self) {
        self.0 = None;
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        if let Some(holding) = self.0 {
            holding.reopen();
        }
    }
}

/// A session on a worker, for as long as this value lives.
#[derive(Debug)]
#[must_use = "the session ends when this is dropped"]
pub struct Session(Arc<Holding>);

impl Drop for Session {
    fn drop(&mut self) {
        self.0.use_of.send_modify(|used| used.sessions = used.sessions.saturating_sub(1));
    }
}
