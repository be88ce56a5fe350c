//! What a tenant may have: its terms, and the ledger that keeps its cap.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::conditions::Condition;
use crate::names::{Image, Owner, Tenant, Uid};
use crate::planted::{Bug, planted};
use crate::pool::HotIdleTerms;
use crate::version::Version;

/// Which tenant: its name alone is not enough, since names come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name: what its workers and claims call it.
    pub name: Tenant,
    /// Its uid.
    pub uid: Uid,
}

impl fmt::Display for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One `DuckTenant`: what decisions read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredTenant {
    /// Which one.
    pub key: TenantKey,
    /// `metadata.generation` at the reading.
    pub generation: i64,
    /// When it was told to go, if it was.
    pub deletion: Option<Timestamp>,
    /// Its spec.
    pub terms: TenantTerms,
    /// Its status.
    pub status: TenantStatus,
}

/// The parts of a tenant's spec that decisions read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantTerms {
    /// How many workers it may hold at once.
    pub max_workers: Option<usize>,
    /// The only version that it may be given.
    pub image: Option<Image>,
    /// What it says of its parked workers.
    pub hot_idle: HotIdleOverrides,
}

/// What a tenant says of its parked workers, instead of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HotIdleOverrides {
    /// How long one is kept.
    pub ttl: Option<Duration>,
    /// How many outlive that.
    pub min_per_tenant: Option<usize>,
    /// How many there may be.
    pub max_per_tenant: Option<usize>,
}

impl HotIdleOverrides {
    /// The pool's terms with these in their places.
    #[must_use]
    pub fn over(&self, pool: &HotIdleTerms) -> HotIdleTerms {
        HotIdleTerms {
            ttl: self.ttl.unwrap_or(pool.ttl),
            min_per_tenant: self.min_per_tenant.unwrap_or(pool.min_per_tenant),
            max_per_tenant: self.max_per_tenant.or(pool.max_per_tenant),
        }
    }
}

/// The status of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantStatus {
    /// The generation whose cap the ledger keeps.
    pub observed_generation: Option<i64>,
    /// The workers that it holds or is about to.
    pub ledger: Ledger,
    /// What it says to people.
    pub conditions: Vec<Condition>,
}

/// The workers that a tenant holds or is about to, where a cap makes that count. An entry stands
/// here before its worker is claimed, and goes only when that claim can no longer land and the
/// tenant does not hold the worker: so the workers held are never more than the entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger(BTreeMap<Uid, Entry>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The worker's name.
    pub worker: String,
    /// The version of the worker that the claim is based on: its write lands on this one or never.
    pub base: Version,
    /// Who claims it.
    pub by: Owner,
    /// Since when the entry stands here.
    pub at: Timestamp,
}

/// Why a worker is not entered. It may not be claimed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotEntered {
    /// The cap leaves no room for another one.
    Full,
    /// It stands here with a newer version: who wants it has not seen that yet.
    Stale,
}

impl Ledger {
    /// Of these entries.
    pub fn of(entries: impl IntoIterator<Item = (Uid, Entry)>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// How many workers count.
    pub fn used(&self) -> usize {
        self.0.len()
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (&Uid, &Entry)> {
        self.0.iter()
    }

    /// The entry of a worker.
    pub fn get(&self, worker: &Uid) -> Option<&Entry> {
        self.0.get(worker)
    }

    /// Enters a worker before it is claimed. One that stands here already counts once, whoever
    /// claims it. Its version never goes back: else the claim that was entered with the newer one
    /// could still land after the entry was taken for void.
    ///
    /// # Errors
    /// [`NotEntered`]: it may not be claimed.
    pub fn enter(&mut self, worker: Uid, entry: Entry, cap: usize) -> Result<(), NotEntered> {
        match self.0.get(&worker) {
            Some(known) if known.base > entry.base && !planted(Bug::EntryGoesBack) => {
                return Err(NotEntered::Stale);
            }
            None if self.used() >= cap && !planted(Bug::CapIgnored) => {
                return Err(NotEntered::Full);
            }
            _ => {}
        }
        self.0.insert(worker, entry);
        Ok(())
    }

    /// Enters a worker that the tenant holds already, cap or no cap.
    pub fn record(&mut self, worker: Uid, entry: Entry) {
        self.0.entry(worker).or_insert(entry);
    }

    /// Takes an entry out.
    pub fn drop_entry(&mut self, worker: &Uid) {
        self.0.remove(worker);
    }
}

/// How much more a tenant may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// Nothing at all: it holds more than it may, or is being deleted, or is not declared where it
    /// must be.
    Nothing,
    /// So many more workers, and any that is parked for it.
    More(usize),
}

impl DeclaredTenant {
    /// How much more it may be given, by what is seen here.
    pub fn allowance(&self) -> Allowance {
        let used = self.status.ledger.used();
        match self.terms.max_workers {
            _ if self.deletion.is_some() => Allowance::Nothing,
            None => Allowance::More(usize::MAX),
            Some(cap) if used > cap => Allowance::Nothing,
            Some(cap) => Allowance::More(cap - used),
        }
    }

    /// The workers that may be in its ledger: none, where it is being deleted.
    pub const fn cap(&self) -> Option<usize> {
        if self.deletion.is_some() { Some(0) } else { self.terms.max_workers }
    }
}
