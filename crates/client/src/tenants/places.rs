//! Whether a claim keeps its tenant's cap.
//!
//! A tenant without a cap costs nothing but a read every two seconds. For one with a cap, the
//! worker is entered in the tenant's ledger before it is claimed, and the claim lands on the very
//! version of the worker that the entry names, or never: so whoever finds the entry later can tell
//! what became of it. Claims of one tenant that come together are entered by one write.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::BackoffBuilder;
use duckworker_core::plan::tenant::{BELIEVED, status};
use duckworker_core::planted::{Bug, planted};
use duckworker_core::tenant::{Entry, NotEntered, TenantStatus};
use duckworker_core::{Image, Miss, Tenant, Uid, Version, WorkerKey};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{TenantSnapshot, TenantStore};
use crate::error::Error;
use crate::status::Written;
use crate::token::WorkerSnapshot;

/// So many tenants are remembered before those are forgotten that nobody asked for lately.
const REMEMBERED: usize = 1024;
/// How often an entry is decided again because the tenant moved under it. More means that somebody
/// writes in a loop.
const DECISIONS: usize = 16;
/// When those ask again whose entry somebody else failed to write.
const AGAIN: Duration = Duration::from_millis(200);

/// Proof that a claim of this worker for this tenant keeps the tenant's cap.
#[derive(Debug)]
pub(crate) struct Place {
    tenant: Tenant,
    worker: Uid,
    base: Option<Version>,
}

impl Place {
    /// Whether it is for this claim.
    pub(crate) fn is_for(&self, worker: &Uid, tenant: &Tenant) -> bool {
        self.worker == *worker && self.tenant == *tenant
    }

    /// The one version of the worker on which the claim may land; any, where there is no cap.
    pub(crate) const fn base(&self) -> Option<&Version> {
        self.base.as_ref()
    }
}

/// What became of a wish for a place.
pub(crate) type Placed = Result<Place, Miss>;

/// The places of all tenants that this process claims for.
#[derive(Default)]
pub(crate) struct Places {
    accounts: Mutex<HashMap<(String, Tenant), Arc<Account>>>,
}

/// What this process knows of one tenant.
#[derive(Default)]
struct Account {
    /// By a consistent read, and when that was sent.
    known: Mutex<Option<Known>>,
    /// Those who wait to be entered.
    waiting: Mutex<Vec<Wish>>,
    /// Workers that were entered here, and that others got: their entries go with the next write.
    void: Mutex<BTreeSet<Uid>>,
    /// Whose turn it is to write for all who wait.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Known {
    sent: Instant,
    /// None: it is not declared.
    tenant: Option<TenantSnapshot>,
}

/// A worker that shall be claimed.
struct Wish {
    key: WorkerKey,
    version: Version,
    /// Its image, if the tenant's pin is to be compared with it.
    image: Option<Image>,
    answer: oneshot::Sender<Answered>,
}

/// What a wish is answered with; none: whoever wrote for all could not.
type Answered = Option<Result<Entered, Miss>>;

/// Whether a worker stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entered {
    Yes,
    NotNeeded,
}

impl Places {
    /// A place for an idle worker.
    pub(crate) async fn idle(
        &self,
        store: &TenantStore,
        worker: &WorkerSnapshot,
        tenant: &Tenant,
    ) -> Result<Placed, Error> {
        let account = self.account(&worker.key().namespace, tenant);
        let granted = match account.believed() {
            Some(known) if !known.is_capped() => known.uncapped(wanted_pin(worker)),
            _ => account.enter(store, worker, tenant).await?,
        };
        Ok(granted.map(|entered| {
            let base = (entered == Entered::Yes).then(|| worker.stored().version.clone());
            Place { tenant: tenant.clone(), worker: worker.key().uid.clone(), base }
        }))
    }

    /// A place for a worker that is parked for the tenant: it counts already.
    pub(crate) async fn parked(
        &self,
        store: &TenantStore,
        worker: &WorkerSnapshot,
        tenant: &Tenant,
    ) -> Result<Placed, Error> {
        let namespace = &worker.key().namespace;
        let account = self.account(namespace, tenant);
        let known = match account.believed() {
            Some(known) => known,
            None => account.read(store, namespace, tenant).await?,
        };
        let declared = known.tenant.as_ref().map(TenantSnapshot::tenant);
        let over = declared.and_then(|t| t.cap().map(|cap| t.status.ledger.used() > cap));
        if over == Some(true) {
            return Ok(Err(Miss::Capacity));
        }
        if known
            .tenant
            .as_ref()
            .is_some_and(|tenant| !fits(tenant, Some(&worker.worker().spec.image)))
        {
            return Ok(Err(Miss::Assignment));
        }
        Ok(Ok(Place { tenant: tenant.clone(), worker: worker.key().uid.clone(), base: None }))
    }

    /// A claim of this worker missed, and somebody else has it: its entry is void.
    pub(crate) fn withdraw(&self, worker: &WorkerKey, tenant: &Tenant) {
        lock(&self.account(&worker.namespace, tenant).void).insert(worker.uid.clone());
    }

    fn account(&self, namespace: &str, tenant: &Tenant) -> Arc<Account> {
        let mut accounts = lock(&self.accounts);
        if accounts.len() > REMEMBERED {
            accounts.retain(|_, account| Arc::strong_count(account) > 1 || account.is_of_use());
        }
        Arc::clone(accounts.entry((namespace.to_owned(), tenant.clone())).or_default())
    }
}

/// The image that a tenant's pin is compared with. A worker that was made for its tenant has the
/// version that its maker wanted.
fn wanted_pin(worker: &WorkerSnapshot) -> Option<&Image> {
    let spec = &worker.worker().spec;
    spec.dedicated_to.is_none().then_some(&spec.image)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    fn is_capped(&self) -> bool {
        self.tenant.as_ref().is_some_and(|tenant| tenant.tenant().cap().is_some())
    }

    fn uncapped(&self, image: Option<&Image>) -> Result<Entered, Miss> {
        let fits = self.tenant.as_ref().is_none_or(|tenant| fits(tenant, image));
        if fits { Ok(Entered::NotNeeded) } else { Err(Miss::Assignment) }
    }
}

/// Whether a tenant may be given a worker of this image.
fn fits(tenant: &TenantSnapshot, image: Option<&Image>) -> bool {
    let pin = tenant.tenant().terms.image.as_ref();
    pin.is_none_or(|pin| image.is_none_or(|image| pin == image))
}

impl Account {
    /// What is known, while it may be believed. Its age counts from when it was asked for: by then
    /// at the latest the cap had not been set.
    fn believed(&self) -> Option<Known> {
        let known = lock(&self.known).clone()?;
        let fresh = known.sent.elapsed() < BELIEVED || planted(Bug::UncappedForEver);
        fresh.then_some(known)
    }

    fn is_of_use(&self) -> bool {
        self.believed().is_some() || !lock(&self.void).is_empty()
    }

    async fn read(
        &self,
        store: &TenantStore,
        namespace: &str,
        tenant: &Tenant,
    ) -> Result<Known, Error> {
        let sent = Instant::now();
        let tenant = store.observe(namespace, tenant.as_str()).await?;
        let known = Known { sent, tenant };
        self.learn(&known);
        Ok(known)
    }

    /// Waits to be entered: whoever's turn it is writes for all who wait.
    async fn enter(
        &self,
        store: &TenantStore,
        worker: &WorkerSnapshot,
        tenant: &Tenant,
    ) -> Result<Result<Entered, Miss>, Error> {
        loop {
            let (answer, mut answered) = oneshot::channel();
            let wish = Wish {
                key: worker.key().clone(),
                version: worker.stored().version.clone(),
                image: wanted_pin(worker).cloned(),
                answer,
            };
            lock(&self.waiting).push(wish);
            let turn = self.turn.lock().await;
            let answer = match answered.try_recv() {
                Ok(answer) => answer,
                // Who had the turn before gave up with our wish in hand.
                Err(oneshot::error::TryRecvError::Closed) => continue,
                Err(oneshot::error::TryRecvError::Empty) => {
                    let wishes = std::mem::take(&mut *lock(&self.waiting));
                    self.serve(store, &worker.key().namespace, tenant, wishes).await?;
                    let Ok(answer) = answered.try_recv() else { continue };
                    answer
                }
            };
            drop(turn);
            return answer.ok_or_else(|| Error::Throttled {
                what: format!("entering DuckWorker {} for tenant {tenant}", worker.key()),
                pause: AGAIN,
            });
        }
    }

    async fn serve(
        &self,
        store: &TenantStore,
        namespace: &str,
        tenant: &Tenant,
        wishes: Vec<Wish>,
    ) -> Result<(), Error> {
        let decided = self.decide(store, namespace, tenant, &wishes).await;
        let (answers, result) = match decided {
            Ok(answers) => (answers, Ok(())),
            Err(error) => (wishes.iter().map(|_| None).collect(), Err(error)),
        };
        for (wish, answer) in wishes.into_iter().zip(answers) {
            // Who waits no more needs no answer: its entry stays open, and is found.
            let _ = wish.answer.send(answer);
        }
        result
    }

    /// Enters as many as there is room for. What was believed is good enough for a win, which is a
    /// compare-and-swap; that there is no room is asked for.
    async fn decide(
        &self,
        store: &TenantStore,
        namespace: &str,
        tenant: &Tenant,
        wishes: &[Wish],
    ) -> Result<Vec<Answered>, Error> {
        let mut consistent = false;
        let mut known = if let Some(known) = self.believed() {
            known
        } else {
            consistent = true;
            self.read(store, namespace, tenant).await?
        };
        let mut pauses = store.store.connection().backoff().with_max_times(DECISIONS).build();
        loop {
            let Some(seen) = known.tenant.as_ref().filter(|_| known.is_capped()) else {
                let granted = |wish: &Wish| Some(known.uncapped(wish.image.as_ref()));
                return Ok(wishes.iter().map(granted).collect());
            };
            let (new, answers) = self.fill(store, seen, wishes);
            let full = answers.contains(&Some(Err(Miss::Capacity)));
            if full && !consistent {
                consistent = true;
                known = self.read(store, namespace, tenant).await?;
                continue;
            }
            if new == seen.tenant().status {
                return Ok(answers);
            }
            let sent = Instant::now();
            let written = store.write(seen, &new).await?;
            let (landed, now) = match written {
                Written::Landed(now) => (true, Some(now)),
                Written::Moved(now) => (false, now),
            };
            known = Known { sent, tenant: now };
            self.learn(&known);
            if landed {
                return Ok(answers);
            }
            let Some(pause) = pauses.next() else {
                let what = format!("entering workers for DuckTenant {namespace}/{tenant}");
                return Err(Error::Throttled { what, pause: AGAIN });
            };
            if consistent {
                tokio::time::sleep(pause).await;
            }
            consistent = true;
        }
    }

    /// The ledger with those wishes in it that find room.
    fn fill(
        &self,
        store: &TenantStore,
        seen: &TenantSnapshot,
        wishes: &[Wish],
    ) -> (TenantStatus, Vec<Answered>) {
        let tenant = seen.tenant();
        let (now, by) = (store.store.connection().clock.now(), store.instance.owner());
        let mut ledger = tenant.status.ledger.clone();
        for void in lock(&self.void).iter() {
            // One that somebody else has entered since stays.
            if ledger.get(void).is_some_and(|entry| entry.by == *by) {
                ledger.drop_entry(void);
            }
        }
        let cap = tenant.cap().unwrap_or(usize::MAX);
        let enter = |wish: &Wish| {
            if !fits(seen, wish.image.as_ref()) {
                return Err(Miss::Assignment);
            }
            let (worker, base) = (wish.key.name.clone(), wish.version.clone());
            let known = ledger.get(&wish.key.uid);
            if known.is_some_and(|known| known.base == base && known.by == *by) {
                return Ok(Entered::Yes);
            }
            let entry = Entry { worker, base, by: by.clone(), at: now };
            let entered = ledger.enter(wish.key.uid.clone(), entry, cap);
            entered.map(|()| Entered::Yes).map_err(|why| match why {
                NotEntered::Full => Miss::Capacity,
                NotEntered::Stale => Miss::Moved,
            })
        };
        let answers = wishes.iter().map(enter).map(Some).collect();
        let status = status(tenant, ledger, tenant.status.observed_generation, now);
        (status, answers)
    }

    fn learn(&self, known: &Known) {
        if let Some(tenant) = &known.tenant {
            let ledger = &tenant.tenant().status.ledger;
            lock(&self.void).retain(|void| ledger.get(void).is_some());
        }
        *lock(&self.known) = Some(known.clone());
    }
}
