//! Every transition of the table as a method. This file holds the one path that all of them take;
//! the methods stand in the files beside it, by the right that they need.

mod by_instance;
mod by_lease;
mod by_snapshot;

use std::sync::Arc;

use duckworker_core::{
    Facts, LeaseFence, Miss, OwnerStanding, Right, Room, SnapshotFence, Transition,
    TransitionName, Uid, Worker, WorkerKey, WorkerState, decide,
};
use tokio::sync::{OwnedMutexGuard, watch};

use crate::attempt::{Attempt, Verdict};
use crate::book::{Book, Slot};
use crate::error::Error;
use crate::instance::Instance;
use crate::outcome::{Origin, Outcome, TransitionObserver, TransitionSeen};
use crate::store::{Stored, WorkerStore};
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
    observer: Arc<dyn TransitionObserver>,
}

/// A right that outlives the try.
enum Claimed<'a> {
    Lease(&'a LeaseFence),
    Snapshot(&'a SnapshotFence),
    Instance,
}

/// One try.
struct Ask<'a> {
    key: &'a WorkerKey,
    right: Claimed<'a>,
    transition: &'a Transition,
    origin: Origin,
}

impl WorkerLifecycle {
    /// For an instance, whose Lease exists: there is no transition before that.
    pub fn new(store: WorkerStore, instance: Arc<Instance>) -> Self {
        Self { store, instance, book: Arc::default(), observer: Arc::new(()) }
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
        let slot = self.settled_slot(uid).await?;
        Ok(slot.held.clone().map(WorkerLease::new))
    }

    /// The newest that this process knows of a worker it wrote, if that is newer than what was
    /// seen: a watch lags behind our own writes.
    pub async fn newest(&self, seen: &WorkerSnapshot) -> WorkerSnapshot {
        let Some(mut slot) = self.book.lock_known(&seen.key().uid).await else {
            return seen.clone();
        };
        slot.learn(seen.stored());
        let Some(known) = slot.known.clone() else { return seen.clone() };
        if slot.in_flight.is_none() {
            self.recognise(&mut slot, &known);
        }
        WorkerSnapshot::new(known)
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
    ) -> Result<Outcome<Arc<Stored>>, Error> {
        let result = self.attempt_unobserved(ask, base).await;
        if matches!(result, Ok(Outcome::Missed(_))) {
            self.book.forget_unheld(&ask.key.uid);
        }
        let (outcome, version) = match &result {
            Ok(Outcome::Transitioned(stored)) => {
                (Some(Ok(())), Some(&stored.worker.spec.image))
            }
            Ok(Outcome::Missed(miss)) => (Some(Err(*miss)), None),
            Err(_) => (None, None),
        };
        let name = ask.transition.name();
        self.observer.observe(&TransitionSeen { name, outcome, origin: ask.origin, version });
        result
    }

    async fn attempt_unobserved(
        &self,
        ask: &Ask<'_>,
        base: Option<&Arc<Stored>>,
    ) -> Result<Outcome<Arc<Stored>>, Error> {
        self.instance.in_office(|| what(ask))?;
        let mut slot = self.settled_slot(&ask.key.uid).await?;
        if let Some(base) = base {
            slot.learn(base);
        }
        // What the slot knows may be old. A win is a compare-and-swap on it and so proves itself;
        // a miss counts only when it was decided on a consistent read.
        for _ in 0..DECISIONS {
            let (stored, consistent) = match slot.known.clone() {
                Some(stored) => (stored, false),
                None => match self.reread(ask.key, &mut slot).await? {
                    Some(stored) => (stored, true),
                    None => return Ok(self.missed(ask, &mut slot, Miss::Gone)),
                },
            };
            match self.decide(ask, &stored.worker).await? {
                Ok(status) => {
                    let attempt = Attempt::new(&stored, status, what(ask))?;
                    match self.settle(&mut slot, attempt).await? {
                        Verdict::Landed(stored) => {
                            self.won(ask, &mut slot, &stored);
                            return Ok(Outcome::Transitioned(stored));
                        }
                        Verdict::Failed => slot.known = None,
                        Verdict::Overwritten => {
                            slot.known = None;
                            return Ok(self.missed(ask, &mut slot, Miss::Moved));
                        }
                        Verdict::Gone => return Ok(self.missed(ask, &mut slot, Miss::Gone)),
                    }
                }
                Err(miss) if consistent => return Ok(self.missed(ask, &mut slot, miss)),
                Err(_) => slot.known = None,
            }
        }
        Err(Error::Throttled { what: what(ask), pause: crate::store::CALL_DEADLINE })
    }

    /// A slot with nothing open.
    async fn settled_slot(&self, uid: &Uid) -> Result<OwnedMutexGuard<Slot>, Error> {
        let mut slot = self.book.lock(uid).await;
        if let Some(attempt) = slot.in_flight.take_if(|a| a.is_settled()) {
            drop(attempt);
        }
        if let Some(attempt) = slot.in_flight.as_mut() {
            let verdict = attempt.settle(&self.store).await?;
            slot.in_flight = None;
            match verdict {
                Verdict::Landed(stored) => {
                    self.recognise(&mut slot, &stored);
                    slot.known = Some(stored);
                }
                Verdict::Failed | Verdict::Overwritten | Verdict::Gone => slot.known = None,
            }
        }
        Ok(slot)
    }

    async fn settle(&self, slot: &mut Slot, attempt: Attempt) -> Result<Verdict, Error> {
        // In the slot first: this future may be dropped at any await.
        let verdict = slot.in_flight.insert(attempt).settle(&self.store).await;
        let open = slot.in_flight.as_ref().is_some_and(|a| !a.is_settled());
        if verdict.is_ok() || !open {
            slot.in_flight = None;
        }
        verdict
    }

    async fn reread(&self, key: &WorkerKey, slot: &mut Slot) -> Result<Option<Arc<Stored>>, Error> {
        let stored = self.store.read(&key.namespace, &key.name).await?;
        let same = stored.filter(|stored| stored.worker.key.uid == key.uid).map(Arc::new);
        slot.known.clone_from(&same);
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
            Claimed::Instance => Right::Instance(me),
        };
        let now = self.store.connection().clock.now();
        let mut facts = Facts { owner: OwnerStanding::Live, room: Room::Free, now };
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

    fn won(&self, ask: &Ask<'_>, slot: &mut Slot, stored: &Arc<Stored>) {
        tracing::debug!(
            worker = %ask.key, transition = %ask.transition.name(),
            epoch = %stored.worker.status.epoch(), "transitioned"
        );
        self.recognise(slot, stored);
        slot.known = Some(Arc::clone(stored));
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

fn what(ask: &Ask<'_>) -> String {
    format!("{} of DuckWorker {}", ask.transition.name(), ask.key)
}

/// The transitions whose guard asks whether the owner is dead or leaves.
const fn asks_for_standing(name: TransitionName) -> bool {
    matches!(
        name,
        TransitionName::Adopt
            | TransitionName::RetireFromSnapshot
            | TransitionName::RetireOrphanFromSnapshot
    )
}

/// The lease that a won hand-over gives.
fn lease_of(stored: &Stored) -> Option<WorkerLease> {
    let status = &stored.worker.status;
    let ownership = status.ownership.clone()?;
    (status.state != WorkerState::Pending).then(|| {
        WorkerLease::new(LeaseFence {
            key: stored.worker.key.clone(),
            owner: ownership.owner,
            epoch: ownership.epoch,
        })
    })
}
