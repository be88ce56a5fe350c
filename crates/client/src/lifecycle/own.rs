//! What this instance holds, and how its own lease is used while a refresh may raise the epoch.

use std::sync::Arc;

use duckworker_core::plan::refresh::Given;
use duckworker_core::{Miss, Uid, Worker};

use super::WorkerLifecycle;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::token::{WorkerLease, WorkerSnapshot};

impl WorkerLifecycle {
    /// Tries something by the newest lease, and once more by a newer one of ours, if a refresh came
    /// between its reading and its use.
    ///
    /// # Errors
    /// Whatever the try fails with.
    pub async fn by_newest_lease<T, F>(
        &self,
        uid: &Uid,
        attempt: impl Fn(WorkerLease) -> F,
    ) -> Result<Outcome<T>, Error>
    where
        F: Future<Output = Result<Outcome<T>, Error>>,
    {
        let mut tried = None;
        loop {
            let Some(lease) = self.lease(uid).await? else {
                return Ok(Outcome::Missed(Miss::Owner));
            };
            let epoch = lease.epoch();
            if tried.replace(epoch).is_some_and(|before| before >= epoch) {
                return Ok(Outcome::Missed(Miss::Epoch));
            }
            match attempt(lease).await? {
                Outcome::Missed(Miss::Epoch) => {}
                decided => return Ok(decided),
            }
        }
    }

    /// The workers that this instance holds and that pass a glance, as it knows them, each with
    /// the credentials that it gave them last. Those whose write is under way are left out.
    pub(crate) fn own(
        &self,
        wanted: impl FnMut(&Worker) -> bool,
    ) -> Vec<(WorkerSnapshot, Option<Given>)> {
        let own = self.book.own(wanted);
        own.into_iter().map(|(stored, given)| (WorkerSnapshot::new(stored), given)).collect()
    }

    /// Every worker that this instance holds, the busy ones among them: their writes are waited
    /// for, and what was begun and cut off is settled first.
    pub(crate) async fn every_own(&self) -> Vec<WorkerSnapshot> {
        let mut own = Vec::new();
        for uid in self.book.uids() {
            let Some(mut slot) = self.book.lock_known(&uid).await else { continue };
            if let Err(error) = self.settle_open(&mut slot).await {
                tracing::warn!(%uid, %error, "what became of a write is not known yet");
            }
            if let Some(known) = slot.known().filter(|_| slot.held.is_some()) {
                own.push(WorkerSnapshot::new(Arc::clone(known)));
            }
        }
        own
    }

    /// The credentials that this process gave a worker last.
    pub(crate) async fn given(&self, uid: &Uid) -> Option<Given> {
        self.book.lock_known(uid).await?.given.clone()
    }

    /// Remembers the credentials that this process gave a worker, for as long as it holds it.
    pub(crate) async fn remember_given(&self, uid: &Uid, given: Given) {
        if let Some(mut slot) = self.book.lock_known(uid).await
            && slot.held.is_some()
        {
            slot.given = Some(given);
        }
    }
}
