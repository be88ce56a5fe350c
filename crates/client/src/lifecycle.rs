//! Every transition of the table as a method. This file holds the one path that all of them take;
//! the methods stand in the files beside it, by the right that they need.

mod ask;
mod by_instance;
mod by_lease;
mod by_snapshot;
mod claiming;
mod own;
mod unwritable;

use std::sync::Arc;

use backon::BackoffBuilder;
use duckworker_core::{
    Facts, LeaseFence, Miss, OwnerStanding, Right, Uid, Worker, WorkerKey, WriteId, decide,
};
use tokio::sync::{OwnedMutexGuard, watch};

use self::ask::{Ask, Claimed, Won, asks_for_standing, log_win, what};
use crate::attempt::{Attempt, Verdict};
use crate::book::{Book, Slot};
use crate::error::Error;
use crate::instance::Instance;
use crate::outcome::{Outcome, TransitionObserver, TransitionSeen};
use crate::store::{CALL_DEADLINE, Stored, WorkerStore};
use crate::tenants::places::Places;
use crate::token::{WorkerLease, WorkerSnapshot};

/// How often a try is decided again because the worker moved under it without missing: a person
/// edits labels, a kubelet's note lands. More means that somebody writes in a loop.
const DECISIONS: usize = 16;

/// The transitions of workers, on behalf of one registered instance. Cheap to clone.
#[derive(Clone)]
pub struct WorkerLifecycle {
    store: WorkerStore,
    instance: Arc<Instance>,
    book: Arc<Book>,
    places: Arc<Places>,
    observer: Arc<dyn TransitionObserver>,
}

impl WorkerLifecycle {
    /// For an instance, whose Lease exists: there is no transition before that.
    pub fn new(store: WorkerStore, instance: Arc<Instance>) -> Self {
        Self {
            store,
            instance,
            book: Arc::default(),
            places: Arc::default(),
            observer: Arc::new(()),
        }
    }

    /// The same, with somebody who counts transitions.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn TransitionObserver>) -> Self {
        Self { observer, ..self }
    }

    /// The store.
    pub const fn store(&self) -> &WorkerStore {
        &self.store
    }

    /// The instance.
    pub const fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// The lease that this instance holds on a worker. Waits while a write of that worker is
    /// under way, and settles one whose answer was lost.
    ///
    /// # Errors
    /// When such a write cannot be settled.
    pub async fn lease(&self, uid: &Uid) -> Result<Option<WorkerLease>, Error> {
        let Some(mut slot) = self.book.lock_known(uid).await else { return Ok(None) };
        self.settle_open(&mut slot).await?;
        Ok(slot.held.clone().map(WorkerLease::new))
    }

    /// The newest that this process knows of a worker it wrote, if that is newer than what was
    /// seen: a watch lags behind our own writes. Waits as [`Self::lease`] does.
    ///
    /// # Errors
    /// As [`Self::lease`].
    pub async fn newest(&self, seen: &WorkerSnapshot) -> Result<WorkerSnapshot, Error> {
        let Some(mut slot) = self.book.lock_known(&seen.key().uid).await else {
            return Ok(seen.clone());
        };
        self.settle_open(&mut slot).await?;
        slot.learn(seen.stored());
        let Some(known) = slot.known().cloned() else { return Ok(seen.clone()) };
        self.recognise(&mut slot, &known);
        Ok(WorkerSnapshot::new(known))
    }

    /// Keeps what was read of a worker that this process already knows.
    pub(crate) async fn learn(&self, seen: &WorkerSnapshot) {
        if let Some(mut slot) = self.book.lock_known(&seen.key().uid).await {
            slot.learn(seen.stored());
        }
    }

    /// Forgets a worker that is gone.
    pub fn forget(&self, uid: &Uid) {
        self.book.forget(uid);
    }

    /// Follows how many workers this instance holds.
    pub fn holds(&self) -> watch::Receiver<usize> {
        self.book.held()
    }

    pub(crate) async fn slot(&self, uid: &Uid) -> OwnedMutexGuard<Slot> {
        self.book.lock(uid).await
    }

    /// The one path: settle what is open, decide, write, decide again if it moved.
    async fn attempt(
        &self,
        ask: &Ask<'_>,
        base: Option<&Arc<Stored>>,
    ) -> Result<Outcome<Won>, Error> {
        let mut refuted = Vec::new();
        let result = self.attempt_unobserved(ask, base, &mut refuted).await;
        if matches!(result, Ok(Outcome::Missed(_))) {
            self.book.forget_unheld(&ask.key.uid);
        }
        let (outcome, won) = match &result {
            Ok(Outcome::Transitioned(won)) => (Some(Ok(())), Some(won)),
            Ok(Outcome::Missed(miss)) => (Some(Err(*miss)), None),
            Err(_) => (None, None),
        };
        self.tell(ask, outcome, won, &refuted);
        result
    }

    fn tell(
        &self,
        ask: &Ask<'_>,
        outcome: Option<Result<(), Miss>>,
        won: Option<&Won>,
        refuted: &[WriteId],
    ) {
        self.observer.observe(&TransitionSeen {
            name: ask.transition.name(),
            outcome,
            origin: ask.origin,
            worker: ask.key,
            version: won.map(|won| &won.now.worker.spec.image),
            tenant: ask.transition.tenant(),
            epoch: ask.epoch(),
            landed: won.map(|won| &won.id),
            refuted,
        });
    }

    async fn attempt_unobserved(
        &self,
        ask: &Ask<'_>,
        base: Option<&Arc<Stored>>,
        refuted: &mut Vec<WriteId>,
    ) -> Result<Outcome<Won>, Error> {
        let mut slot = self.book.lock(&ask.key.uid).await;
        self.settle_open(&mut slot).await?;
        if let Some(base) = base {
            slot.learn(base);
        }
        // What the slot knows may be old. A win is a compare-and-swap on it and so proves itself;
        // a miss counts only when it was decided on a consistent read.
        let mut consistent = false;
        let connection = self.store.connection();
        let mut pauses = connection.backoff().with_max_times(DECISIONS).build();
        loop {
            self.instance.in_office(|| what(ask))?;
            let stored = match slot.current() {
                Some(stored) => stored,
                None => match self.reread(ask.key, &mut slot).await? {
                    Some(stored) => stored,
                    None => return Ok(self.missed(ask, &mut slot, Miss::Gone)),
                },
            };
            if ask.right.base().is_some_and(|base| *base != stored.version) {
                return Ok(self.missed(ask, &mut slot, Miss::Moved));
            }
            let status = match self.decide(ask, &stored.worker).await? {
                Ok(status) => status,
                Err(miss) if consistent => return Ok(self.missed(ask, &mut slot, miss)),
                Err(_) => {
                    slot.distrust();
                    consistent = true;
                    continue;
                }
            };
            let ownership = status.ownership.clone();
            let attempt = Attempt::new(&connection.dice, &stored, status, what(ask))?;
            let id = attempt.id().clone();
            let verdict = self.settle(&mut slot, attempt).await?;
            if matches!(verdict, Verdict::Failed(_)) {
                refuted.push(id.clone());
            }
            match verdict {
                Verdict::Landed(now) => {
                    log_win(ask, &now);
                    return Ok(Outcome::Transitioned(Won { now, ownership, id }));
                }
                // It moved, mostly by a change that misses nothing. At once the first time; the
                // rounds of those who write to the same worker spread after that.
                Verdict::Failed(_) if !std::mem::replace(&mut consistent, true) => {}
                Verdict::Failed(_) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(Error::Throttled { what: what(ask), pause: CALL_DEADLINE }),
                },
                Verdict::Overwritten(_) => return Ok(self.missed(ask, &mut slot, Miss::Moved)),
                Verdict::Gone => return Ok(self.missed(ask, &mut slot, Miss::Gone)),
            }
        }
    }

    /// Settles a write that an earlier call left open: its answer was lost, or its future dropped.
    async fn settle_open(&self, slot: &mut Slot) -> Result<(), Error> {
        if let Some(open) = slot.in_flight.take()
            && !open.is_settled()
        {
            self.settle(slot, open).await?;
        }
        Ok(())
    }

    /// Sends a write until it is decided. While it is not, it stands in the slot: this future may
    /// be dropped at any await.
    async fn settle(&self, slot: &mut Slot, attempt: Attempt) -> Result<Verdict, Error> {
        let attempt = slot.in_flight.insert(attempt);
        let verdict = attempt.settle(&self.store).await;
        if verdict.is_ok() || attempt.is_settled() {
            slot.in_flight = None;
        }
        match &verdict {
            Ok(Verdict::Landed(now) | Verdict::Failed(now) | Verdict::Overwritten(now)) => {
                slot.confirm(now);
                self.recognise(slot, now);
            }
            Ok(Verdict::Gone) => self.book.bury(slot),
            Err(_) => {}
        }
        verdict
    }

    async fn reread(&self, key: &WorkerKey, slot: &mut Slot) -> Result<Option<Arc<Stored>>, Error> {
        let stored = self.store.read(&key.namespace, &key.name).await?;
        let same = stored.filter(|stored| stored.worker.key.uid == key.uid).map(Arc::new);
        match &same {
            Some(stored) => slot.confirm(stored),
            None => self.book.bury(slot),
        }
        Ok(same)
    }

    async fn decide(
        &self,
        ask: &Ask<'_>,
        worker: &Worker,
    ) -> Result<Result<duckworker_core::WorkerStatus, Miss>, Error> {
        let me = self.instance.owner();
        let right = match ask.right {
            Claimed::Lease(fence) => Right::Lease(fence),
            Claimed::Snapshot(seen) => Right::Snapshot { seen, by: me },
            Claimed::Instance | Claimed::Seated(_) | Claimed::Placed(_) => Right::Instance(me),
        };
        let now = self.store.connection().clock.now();
        let room = ask.right.room(worker, ask.transition);
        let mut facts = Facts { owner: OwnerStanding::Live, room, now };
        let without = decide(worker, &right, ask.transition, &facts);
        // The owner's standing costs a read: ask for it only where it would change the decision.
        if without == Err(Miss::OwnerAlive)
            && asks_for_standing(ask.transition.name())
            && let Some(owner) = worker.status.owner()
        {
            facts.owner = self.instance.directory().standing(owner).await?;
            return Ok(decide(worker, &right, ask.transition, &facts));
        }
        Ok(without)
    }

    /// Persist first, then memory: what stands in the API server says what we hold.
    fn recognise(&self, slot: &mut Slot, stored: &Stored) {
        let status = &stored.worker.status;
        let mine = status.owner() == Some(self.instance.owner());
        let lease = (mine && !status.state.is_terminal()).then(|| LeaseFence {
            key: stored.worker.key.clone(),
            owner: self.instance.owner().clone(),
            epoch: status.epoch(),
        });
        self.book.hold(slot, lease);
    }

    fn missed<T>(&self, ask: &Ask<'_>, slot: &mut Slot, miss: Miss) -> Outcome<T> {
        tracing::debug!(
            worker = %ask.key, transition = %ask.transition.name(), %miss, "missed"
        );
        // The lease asked with is stale: forget it, and touch nothing else.
        let stale = matches!(miss, Miss::Owner | Miss::Epoch | Miss::Gone);
        if let Claimed::Lease(fence) = ask.right
            && stale
            && slot.held.as_ref() == Some(fence)
        {
            self.book.hold(slot, None);
        }
        Outcome::Missed(miss)
    }
}
