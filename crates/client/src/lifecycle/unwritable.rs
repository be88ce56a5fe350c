//! The end of a worker whose status cannot be written any more, since its object has grown too
//! large for the API server's storage: by labels, say, that somebody piled onto it.

use duckworker_core::{Miss, Reason, Transition};

use super::{Ask, Claimed, WorkerLifecycle};
use crate::error::Error;
use crate::outcome::{Origin, Outcome};
use crate::token::{DeletePermit, WorkerSnapshot};

impl WorkerLifecycle {
    /// The permit to delete what a worker has, without the write that it otherwise comes out of: for
    /// one that is being deleted and whose transition was refused for its size. By a consistent
    /// read, the caller must be the one who could drain or adopt it, if that could be written.
    ///
    /// No other writer is passed by: what was too large for us is too large for all, nothing new can
    /// begin on a worker that is being deleted, and only its owner (or the successor of a dead one)
    /// gets here.
    ///
    /// # Errors
    /// When the server does not answer, or an open write of this worker cannot be settled.
    pub async fn condemn_unwritable(
        &self,
        seen: &WorkerSnapshot,
        refusal: &Error,
    ) -> Result<Outcome<DeletePermit>, Error> {
        let key = seen.key();
        let mut slot = self.book.lock(&key.uid).await;
        self.settle_open(&mut slot).await?;
        let Some(stored) = self.reread(key, &mut slot).await? else {
            return Ok(Outcome::Missed(Miss::Gone));
        };
        let worker = &stored.worker;
        if !refusal.is_too_large() || !worker.is_deleting() {
            return Ok(Outcome::Missed(Miss::State));
        }
        if let Some(permit) = DeletePermit::of(worker) {
            return Ok(Outcome::Transitioned(permit));
        }
        let drain = Transition::Drain(Reason::Deleted);
        let (right, transition) = match &slot.held {
            Some(fence) => (Claimed::Lease(fence), &drain),
            None => (Claimed::Instance, &Transition::Adopt),
        };
        let ask = Ask { key, right, transition, origin: Origin::Finalizer };
        Ok(match self.decide(&ask, worker).await? {
            Ok(_) => Outcome::Transitioned(DeletePermit::of_unwritable(worker)),
            Err(miss) => Outcome::Missed(miss),
        })
    }
}
