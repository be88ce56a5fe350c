//! How a worker in hand is used: its sessions, and its end, known to all who share it.

use std::sync::Arc;

use duckworker_core::{Reason, Tenant};
use tokio::sync::watch;

use crate::token::WorkerSnapshot;

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
pub(crate) struct Holding {
    pub(crate) worker: WorkerSnapshot,
    pub(crate) tenant: Tenant,
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
    pub(crate) fn new(worker: WorkerSnapshot, tenant: Tenant) -> Arc<Self> {
        let (use_of, _) =
            watch::channel(Use { sessions: 0, open: true, leaving: false, gone: None });
        Arc::new(Self { worker, tenant, use_of })
    }

    /// From now on it takes no new sessions.
    pub(crate) fn close(&self) {
        self.use_of.send_modify(|used| used.open = false);
    }

    fn reopen(&self) {
        self.use_of.send_modify(|used| used.open = used.gone.is_none() && !used.leaving);
    }

    /// Takes no new sessions any more. True for the first who asks: it is his to end.
    pub(crate) fn begin_leaving(&self) -> bool {
        self.use_of.send_if_modified(|used| {
            used.open = false;
            !std::mem::replace(&mut used.leaving, true)
        })
    }

    /// Tells everybody who waits, once: the first reason stays.
    pub(crate) fn end(&self, why: Gone) {
        self.use_of.send_modify(|used| {
            used.open = false;
            used.gone.get_or_insert(why);
        });
    }

    /// Counts a session on it until the value is dropped. None: it takes no new ones.
    pub(crate) fn open_session(self: &Arc<Self>) -> Option<Session> {
        let opened = self.use_of.send_if_modified(|used| {
            used.sessions += usize::from(used.open);
            used.open
        });
        opened.then(|| Session(Arc::clone(self)))
    }

    pub(crate) fn sessions(&self) -> usize {
        self.use_of.borrow().sessions
    }

    /// Waits until no session is open on it, or it is gone.
    pub(crate) async fn unused(&self) {
        let mut used = self.use_of.subscribe();
        let unused = |used: &Use| used.sessions == 0 || used.gone.is_some();
        let _ = used.wait_for(unused).await;
    }

    pub(crate) async fn gone(&self) -> Gone {
        let mut used = self.use_of.subscribe();
        // The sender lives as long as this.
        used.wait_for(|used| used.gone.is_some())
            .await
            .ok()
            .and_then(|used| used.gone)
            .unwrap_or(Gone::Taken)
    }
}

/// A worker that takes no new sessions for now; unless it stays so, it takes them again.
pub(crate) struct Closed<'a>(Option<&'a Holding>);

impl<'a> Closed<'a> {
    pub(crate) fn new(holding: &'a Holding) -> Self {
        holding.close();
        Self(Some(holding))
    }

    pub(crate) fn stay(mut self) {
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
