//! What this process knows of the workers that it owns: one slot each, behind a lock of its own.
//!
//! A slot is locked for as long as a write of its worker is under way. That is on purpose: who
//! reads a lease during a refresh waits, and sees the new epoch the moment it has landed; durable
//! epoch and memory change in one step. Slots of other workers are never waited for.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use duckworker_core::plan::refresh::Given;
use duckworker_core::{LeaseFence, Uid, Worker};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};

use crate::attempt::Attempt;
use crate::store::Stored;
use crate::sync::{Mutex, PoisonError};

/// What is known of one worker.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// The newest version that this process wrote or saw. It never goes back to an older one, so
    /// that a lagging cache cannot bring a stale lease to life again.
    known: Option<Arc<Stored>>,
    /// A newer version is there: read before the next decision.
    outdated: bool,
    /// The lease that it won last, until it is found stale.
    pub held: Option<LeaseFence>,
    /// A write whose answer is not known: to be settled before anything else. It survives a
    /// dropped future, since it stands here and not on that future's stack.
    pub in_flight: Option<Attempt>,
    /// The credentials that this process gave it last, for as long as it holds it.
    pub given: Option<Given>,
    /// The uid of the secret that this process made for it.
    pub secret: Option<Uid>,
}

impl Slot {
    /// The newest version known, for readers.
    pub const fn known(&self) -> Option<&Arc<Stored>> {
        self.known.as_ref()
    }

    /// The newest version known, unless a newer one is known to be there.
    pub fn current(&self) -> Option<Arc<Stored>> {
        self.known.clone().filter(|_| !self.outdated)
    }

    /// Keeps the newer of what is known and what was seen. Of two that are the same it keeps what
    /// was seen, as a rule in a cache: one copy in memory is enough.
    pub fn learn(&mut self, seen: &Arc<Stored>) {
        let order = self.known.as_ref().map(|known| seen.version.cmp(&known.version));
        if order == Some(Ordering::Less) {
            return;
        }
        self.outdated &= order == Some(Ordering::Equal);
        self.known = Some(Arc::clone(seen));
    }

    /// Keeps what a consistent read or our own write showed: nothing newer was there.
    pub fn confirm(&mut self, stored: &Arc<Stored>) {
        self.known = Some(Arc::clone(stored));
        self.outdated = false;
    }

    /// The worker moved: what is known is no base for a decision any more.
    pub const fn distrust(&mut self) {
        self.outdated = true;
    }
}

/// All slots of one instance.
#[derive(Debug)]
pub(crate) struct Book {
    slots: Mutex<HashMap<Uid, Arc<AsyncMutex<Slot>>>>,
    /// How many leases are held.
    held: watch::Sender<usize>,
}

impl Default for Book {
    fn default() -> Self {
        Self { slots: Mutex::default(), held: watch::channel(0).0 }
    }
}

impl Book {
    /// Locks a worker's slot, made when there is none.
    pub async fn lock(&self, uid: &Uid) -> OwnedMutexGuard<Slot> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(uid.clone()).or_default())
        };
        slot.lock_owned().await
    }

    /// Locks a worker's slot if there is one.
    pub async fn lock_known(&self, uid: &Uid) -> Option<OwnedMutexGuard<Slot>> {
        let slot = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.get(uid).map(Arc::clone)?
        };
        Some(slot.lock_owned().await)
    }

    /// Changes the lease that is held on a worker.
    pub fn hold(&self, slot: &mut Slot, lease: Option<LeaseFence>) {
        let (before, after) = (slot.held.is_some(), lease.is_some());
        slot.held = lease;
        if slot.held.is_none() {
            slot.given = None;
        }
        match (before, after) {
            (false, true) => self.held.send_modify(|held| *held += 1),
            (true, false) => self.held.send_modify(|held| *held = held.saturating_sub(1)),
            _ => {}
        }
    }

    /// The worker is gone: what was known and held of it counts no more.
    pub fn bury(&self, slot: &mut Slot) {
        slot.known = None;
        self.hold(slot, None);
    }

    /// Follows how many leases are held.
    pub fn held(&self) -> watch::Receiver<usize> {
        self.held.subscribe()
    }

    /// The workers that this process holds and that pass a glance, as it knows them. Those whose
    /// write is under way are left out: they are busy, and there again at the next look.
    pub fn own(
        &self,
        mut wanted: impl FnMut(&Worker) -> bool,
    ) -> Vec<(Arc<Stored>, Option<Given>)> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots
            .values()
            .filter_map(|slot| {
                let slot = slot.try_lock().ok()?;
                let known = slot.known.as_ref().filter(|_| slot.held.is_some())?;
                wanted(&known.worker).then(|| (Arc::clone(known), slot.given.clone()))
            })
            .collect()
    }

    /// Every worker that this process has a slot of.
    pub fn uids(&self) -> Vec<Uid> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Forgets a worker that is gone, unless a write of it is undecided. Where somebody is at it
    /// just now, that is done as soon as he is through: a lease that nobody gives back would keep
    /// this instance from leaving.
    pub fn forget(self: &Arc<Self>, uid: &Uid) {
        if self.forget_decided(uid) == Forgotten::Busy {
            let (book, uid) = (Arc::clone(self), uid.clone());
            tokio::spawn(async move {
                // Others may wait for the slot, too, and be at it after us.
                while book.forget_decided(&uid) == Forgotten::Busy {
                    drop(book.lock_known(&uid).await);
                    tokio::task::yield_now().await;
                }
            });
        }
    }

    fn forget_decided(&self, uid: &Uid) -> Forgotten {
        self.forget_if(uid, |slot| slot.in_flight.is_none())
    }

    /// Forgets a worker that is not ours: a miss leaves nothing behind.
    pub fn forget_unheld(&self, uid: &Uid) {
        let _ = self.forget_if(uid, |slot| slot.in_flight.is_none() && slot.held.is_none());
    }

    fn forget_if(&self, uid: &Uid, may: impl Fn(&Slot) -> bool) -> Forgotten {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get(uid) else { return Forgotten::Yes };
        // Where nobody else has the slot, nobody can lock it between here and the removal.
        let alone = Arc::strong_count(slot) == 1;
        let Some(mut slot) = slot.try_lock().ok().filter(|_| alone) else {
            return Forgotten::Busy;
        };
        if !may(&slot) {
            return Forgotten::Kept;
        }
        self.hold(&mut slot, None);
        drop(slot);
        slots.remove(uid);
        Forgotten::Yes
    }
}

/// What became of the wish to forget a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forgotten {
    /// Nothing is known of it any more.
    Yes,
    /// Somebody is at it.
    Busy,
    /// It has to be remembered.
    Kept,
}

#[cfg(test)]
mod tests {
    use duckworker_core::{Epoch, Owner, WorkerKey};

    use super::*;

    fn lease(uid: &Uid) -> LeaseFence {
        let key = WorkerKey { namespace: "a".into(), name: "w".into(), uid: uid.clone() };
        LeaseFence { key, owner: Owner::new("user:me:1").unwrap(), epoch: Epoch::FIRST }
    }

    fn stored(version: &str) -> Arc<Stored> {
        let worker = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "w", "namespace": "a", "uid": "u", "resourceVersion": version },
            "spec": { "template": { "spec": { "containers": [{ "name": "duckdb", "image": "i" }] } } },
        }));
        Arc::new(Stored::answered(worker.unwrap()).unwrap())
    }

    #[test]
    fn of_the_same_version_one_copy_is_kept_and_doubt_stays() {
        let (old, own, cached, new) = (stored("9"), stored("10"), stored("10"), stored("11"));
        let mut slot = Slot::default();
        slot.learn(&own);
        slot.learn(&old);
        assert!(Arc::ptr_eq(slot.known().unwrap(), &own), "it never goes back");
        slot.distrust();
        slot.learn(&cached);
        assert!(Arc::ptr_eq(slot.known().unwrap(), &cached));
        assert!(slot.current().is_none(), "the same version is no news");
        slot.learn(&new);
        assert!(Arc::ptr_eq(&slot.current().unwrap(), &new));
    }

    #[tokio::test]
    async fn a_worker_that_goes_while_somebody_is_at_it_is_forgotten_afterwards() {
        let (book, uid) = (Arc::new(Book::default()), Uid::new("u").unwrap());
        let mut held = book.held();
        let mut slot = book.lock(&uid).await;
        book.hold(&mut slot, Some(lease(&uid)));
        book.forget(&uid);
        tokio::task::yield_now().await;
        assert_eq!(*held.borrow(), 1, "whoever is at it goes on with what he has");
        drop(slot);
        held.wait_for(|held| *held == 0).await.unwrap();
        assert!(book.lock_known(&uid).await.is_none());
    }
}
