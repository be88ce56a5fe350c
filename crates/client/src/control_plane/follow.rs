//! What a control plane hears of the workers that it holds: from its own checks, and from the
//! watch on workers.

use std::sync::{Arc, Weak};

use duckworker_api::DuckWorker;
use duckworker_core::plan::health::is_checked;
use duckworker_core::{Reason, Uid, WorkerState};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use tokio::sync::watch;

use super::Shared;
use super::held::HeldWorker;
use super::holding::{Gone, Holding};
use crate::children::Children;
use crate::error::Error;
use crate::health::HealthFollower;
use crate::outcome::Origin;
use crate::token::{DeletePermit, WorkerSnapshot};

/// How many workers' news are looked at side by side.
const AT_ONCE: usize = 32;

/// Goes on where health checks end. It holds no part of the control plane alive.
pub(super) struct Follower(Weak<Shared>);

impl Follower {
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }
}

impl HealthFollower for Follower {
    fn lost<'a>(
        &'a self,
        worker: &'a WorkerSnapshot,
        reason: Reason,
        permit: DeletePermit,
    ) -> BoxFuture<'a, ()> {
        async move {
            let Some(shared) = self.0.upgrade() else { return };
            // The sessions hear of it first.
            shared.let_go(&worker.key().uid, Gone::Lost(reason));
            clean_up(&shared.children, worker, permit).await;
        }
        .boxed()
    }

    fn draining<'a>(&'a self, worker: &'a WorkerSnapshot, _: DeletePermit) -> BoxFuture<'a, ()> {
        async move {
            let Some(shared) = self.0.upgrade() else { return };
            let key = worker.key().clone();
            // Its sessions go on until it exits; new ones find another worker.
            if let Some(holding) = shared.holding(&key.uid) {
                holding.close();
            }
            let patience = worker.worker().spec.drain_timeout;
            tokio::spawn(async move {
                let end = shared.drainer.finish(&key, Origin::Health, patience).await;
                tracing::info!(worker = %key, ?end, "it stopped by itself");
                shared.let_go(&key.uid, Gone::Drained);
            });
        }
        .boxed()
    }

    fn stale(&self, worker: &WorkerSnapshot) {
        if let Some(shared) = self.0.upgrade() {
            shared.let_go(&worker.key().uid, Gone::Taken);
        }
    }
}

async fn clean_up(children: &Children, worker: &WorkerSnapshot, permit: DeletePermit) {
    if let Err(error) = children.clean_up(permit).await {
        tracing::warn!(worker = %worker.key(), %error, "the rest is left to the controllers");
    }
}

/// Follows the watch on workers: tells claimers that there are news, and looks at those that are
/// held whenever they change.
pub(super) async fn follow(
    shared: Weak<Shared>,
    fillings: watch::Receiver<bool>,
    changes: impl Stream<Item = watcher::Result<DuckWorker>> + Send,
    tell: watch::Sender<()>,
) {
    let look = |change: watcher::Result<DuckWorker>| {
        tell.send_replace(());
        let shared = shared.upgrade();
        async move {
            match (change, shared) {
                (Ok(worker), Some(shared)) => shared.notice(&worker).await,
                (Err(error), _) => {
                    tracing::warn!(%error, "the watch on workers failed; it is tried again");
                }
                (Ok(_), None) => {}
            }
        }
    };
    tokio::select! {
        () = changes.for_each_concurrent(AT_ONCE, look) => {}
        () = follow_fillings(&shared, fillings, &tell) => {}
    }
}

/// What a list brings is told before the cache shows it, and what it no longer brings is not told
/// at all: once it is through, everybody looks.
async fn follow_fillings(
    shared: &Weak<Shared>,
    mut fillings: watch::Receiver<bool>,
    tell: &watch::Sender<()>,
) {
    while fillings.changed().await.is_ok() {
        tell.send_replace(());
        let Some(shared) = shared.upgrade() else { continue };
        for holding in shared.all_held() {
            Arc::clone(&shared).judge(&holding).await;
        }
    }
}

impl Shared {
    /// A worker changed. One that is held may be somebody else's now, over, or told to go.
    async fn notice(self: Arc<Self>, object: &DuckWorker) {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        let Ok(uid) = Uid::new(uid) else { return };
        if let Some(holding) = self.holding(&uid) {
            self.judge(&holding).await;
        }
    }

    async fn judge(self: Arc<Self>, holding: &Arc<Holding>) {
        if let Err(error) = self.try_judge(holding).await {
            let worker = holding.worker.key();
            tracing::warn!(%worker, %error, "its news are looked at with the next");
        }
    }

    async fn try_judge(self: Arc<Self>, holding: &Arc<Holding>) -> Result<(), Error> {
        let key = holding.worker.key();
        let uid = &key.uid;
        let cached = self.workers.get(&ObjectRef::new(&key.name).within(&key.namespace));
        let Some(cached) = cached.filter(|seen| seen.key() == key) else {
            self.let_go(uid, Gone::Taken);
            return Ok(());
        };
        // A watch lags behind our own writes.
        let now = self.lifecycle.newest(&cached).await?;
        let status = &now.worker().status;
        let ours = status.owner() == Some(self.lifecycle.instance().owner());
        match status.state {
            WorkerState::Lost => {
                let told = status.transitions.first().and_then(|newest| newest.reason.clone());
                let reason = told.and_then(|reason| reason.parse().ok());
                self.let_go(uid, Gone::Lost(reason.unwrap_or(Reason::Crashed)));
            }
            WorkerState::Retired => self.let_go(uid, Gone::Drained),
            _ if !ours => self.let_go(uid, Gone::Taken),
            _ if now.worker().is_deleting() => self.leave(holding),
            _ if is_checked(now.worker()) => {}
            _ => holding.close(),
        }
        Ok(())
    }

    /// Its object was deleted: once its sessions have ended, it is drained.
    fn leave(self: Arc<Self>, holding: &Arc<Holding>) {
        if !holding.begin_leaving() {
            return;
        }
        let held = HeldWorker { shared: self, holding: Arc::clone(holding) };
        tokio::spawn(async move {
            let patience = held.seen().worker().spec.drain_timeout;
            let _ = tokio::time::timeout(patience, held.holding.unused()).await;
            let drainer = &held.shared.drainer;
            let ended =
                drainer.drain(held.key(), Reason::Deleted, Origin::Finalizer, patience).await;
            match ended {
                Ok(_) => held.shared.let_go(&held.key().uid, Gone::Drained),
                Err(error) => {
                    tracing::warn!(worker = %held.key(), %error, "left to the controllers");
                }
            }
        });
    }
}
