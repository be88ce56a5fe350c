//! The life of a tenant's ledger: what its keeper does next.
//!
//! Who claims a worker for a capped tenant enters it first; here is what else happens to the
//! entries. A worker that the tenant holds without one gets one: it was claimed before the cap was
//! known. An entry whose claim can no longer land, and whose worker is not the tenant's, goes. One
//! that is left open by a claimer that died is made impossible first: its worker is moved on to
//! another version.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::conditions::{self, Condition, ConditionStatus};
use crate::decide::elapsed;
use crate::names::{Owner, Tenant, Uid};
use crate::planted::{Bug, planted};
use crate::state::WorkerState;
use crate::tenant::{DeclaredTenant, Entry, Ledger, TenantStatus};
use crate::version::Version;

/// For how long a claimer may believe that a tenant has no cap, after a consistent read.
pub const BELIEVED: Duration = Duration::from_secs(2);
/// How long a generation is known before its cap is said to hold: longer than any claimer believes
/// in the one before, also where its clock is slower than ours by a quarter.
pub const NOTICE: Duration = Duration::from_secs(4);
/// How soon an open entry is looked at again. A claim takes milliseconds.
const SETTLE: Duration = Duration::from_secs(2);
/// When an open entry is closed by force: no claimer goes on trying for so long.
const ABANDONED: Duration = Duration::from_mins(1);
/// How many entries a ledger can hold.
const MOST: usize = 2000;

/// A worker that has to do with a tenant, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSeen {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its state.
    pub state: WorkerState,
    /// Its tenant.
    pub tenant: Option<Tenant>,
    /// Its owner.
    pub owner: Option<Owner>,
}

/// What consistent reads said of a worker that is over, or not to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// Nothing is left of it.
    Nothing,
    /// It, or its pod, is still there.
    Something,
}

/// Everything that the plan may know.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The tenant, as new as the asker knows it.
    pub tenant: &'a DeclaredTenant,
    /// The workers of its ledger and those assigned to it, as they were seen.
    pub workers: &'a BTreeMap<Uid, WorkerSeen>,
    /// What consistent reads of this look said.
    pub remains: &'a BTreeMap<Uid, Remains>,
    /// The authors of entries that are dead.
    pub dead: &'a BTreeSet<Owner>,
    /// How long the asker has known this generation, by its own clock.
    pub known_for: Duration,
    /// The API server's time.
    pub now: Timestamp,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Find out, by consistent reads, what is left of these workers.
    LookFor(Vec<(Uid, String)>),
    /// Move these workers on to another version, so that no claim based on this one can land.
    Move(Vec<(Uid, String)>),
    /// Write this status, by a compare-and-swap on the version that was read.
    Write(TenantStatus),
    /// Nothing until something changes, or until this time has passed.
    Wait(Duration),
    /// Nothing until something changes.
    Rest,
}

/// What an entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The tenant holds the worker.
    Held,
    /// The worker is over or cannot be seen: is anything left?
    Over,
    /// Its claim may yet land.
    Open,
    /// Its claim can no longer land, and the tenant does not hold the worker.
    Void,
}

fn standing(view: &View<'_>, worker: &Uid, entry: &Entry) -> Standing {
    let Some(seen) = view.workers.get(worker) else { return Standing::Over };
    if seen.tenant.as_ref() == Some(&view.tenant.key.name) {
        return if seen.state.is_terminal() { Standing::Over } else { Standing::Held };
    }
    // Assignments are for ever, so whatever version later than that one was seen will do.
    let past = seen.version > entry.base || planted(Bug::OpenEntryDropped);
    if past { Standing::Void } else { Standing::Open }
}

/// The next step for this tenant.
pub fn next(view: &View<'_>) -> Step {
    let tenant = view.tenant;
    let sorted = Sorted::of(view);
    if !sorted.unknown.is_empty() {
        return Step::LookFor(sorted.unknown);
    }
    let waits =
        tenant.cap().is_some() && tenant.status.observed_generation != Some(tenant.generation);
    let notice =
        waits.then(|| NOTICE.saturating_sub(view.known_for)).filter(|left| !left.is_zero());
    let generation = match notice {
        Some(_) => tenant.status.observed_generation,
        None => Some(tenant.generation),
    };
    let status = status(tenant, sorted.ledger, generation, view.now);
    if status != tenant.status {
        return Step::Write(status);
    }
    if !sorted.abandoned.is_empty() {
        return Step::Move(sorted.abandoned);
    }
    let open = (sorted.open > 0).then_some(SETTLE);
    open.into_iter().chain(notice).min().map_or(Step::Rest, Step::Wait)
}

/// The entries, sorted by what is to be done about them.
struct Sorted {
    ledger: Ledger,
    unknown: Vec<(Uid, String)>,
    abandoned: Vec<(Uid, String)>,
    /// Those that wait for something that no watch tells.
    open: usize,
}

impl Sorted {
    fn of(view: &View<'_>) -> Self {
        let mut sorted =
            Self { ledger: Ledger::default(), unknown: Vec::new(), abandoned: Vec::new(), open: 0 };
        if view.tenant.cap().is_none() {
            return sorted;
        }
        sorted.ledger = view.tenant.status.ledger.clone();
        for (uid, entry) in view.tenant.status.ledger.entries() {
            sorted.sort(view, uid, entry);
        }
        for (uid, seen) in view.workers {
            sorted.record(view, uid, seen);
        }
        sorted
    }

    fn sort(&mut self, view: &View<'_>, uid: &Uid, entry: &Entry) {
        match (standing(view, uid, entry), view.remains.get(uid)) {
            (Standing::Held, _) => {}
            (Standing::Void, _) | (Standing::Over, Some(Remains::Nothing)) => {
                self.ledger.drop_entry(uid);
            }
            (Standing::Over, None) => self.unknown.push((uid.clone(), entry.worker.clone())),
            (Standing::Over, Some(Remains::Something)) => self.open += 1,
            (Standing::Open, _) => {
                self.open += 1;
                let old = elapsed(entry.at, view.now) >= ABANDONED;
                if old || view.dead.contains(&entry.by) {
                    self.abandoned.push((uid.clone(), entry.worker.clone()));
                }
            }
        }
    }

    /// A worker that the tenant holds without an entry gets one.
    fn record(&mut self, view: &View<'_>, uid: &Uid, seen: &WorkerSeen) {
        let own = seen.tenant.as_ref() == Some(&view.tenant.key.name);
        let Some(owner) = seen.owner.as_ref().filter(|_| own && !seen.state.is_terminal()) else {
            return;
        };
        if self.ledger.get(uid).is_none() && self.ledger.used() < MOST {
            let (worker, base) = (seen.name.clone(), seen.version.clone());
            self.ledger
                .record(uid.clone(), Entry { worker, base, by: owner.clone(), at: view.now });
        }
    }
}

/// The condition that says whether the tenant can be given another worker.
const AT_CAP: &str = "AtCap";

/// A status with this ledger: what claimers and the keeper write alike.
pub fn status(
    tenant: &DeclaredTenant,
    ledger: Ledger,
    observed_generation: Option<i64>,
    now: Timestamp,
) -> TenantStatus {
    let mut conditions = tenant.status.conditions.clone();
    match tenant.terms.max_workers {
        Some(cap) => {
            let (holds, reason, message) = at_cap(tenant, ledger.used(), cap);
            let new = Condition {
                kind: AT_CAP.to_owned(),
                status: holds,
                reason: reason.to_owned(),
                message,
                observed_generation: Some(tenant.generation),
                since: now,
            };
            let same = |old: &Condition| {
                old.says_the_same(&new) && old.observed_generation == new.observed_generation
            };
            if !conditions.iter().any(same) {
                conditions::set(&mut conditions, new);
            }
        }
        None => conditions.retain(|condition| condition.kind != AT_CAP),
    }
    TenantStatus { observed_generation, ledger, conditions }
}

fn at_cap(
    tenant: &DeclaredTenant,
    used: usize,
    cap: usize,
) -> (ConditionStatus, &'static str, String) {
    let name = &tenant.key.name;
    match used.cmp(&cap) {
        Ordering::Greater => {
            let excess = used - cap;
            let message = format!(
                "tenant {name} holds {used} workers and may hold {cap}: none is taken from it, and \
                 it gets no other before it has given {excess} back"
            );
            (ConditionStatus::True, "OverCap", message)
        }
        Ordering::Equal => {
            let message =
                format!("tenant {name} holds all {cap} workers that spec.maxWorkers allows");
            (ConditionStatus::True, "TenantAtCap", message)
        }
        // The number of those that it holds stands in `used`.
        Ordering::Less => {
            (ConditionStatus::False, "BelowCap", format!("tenant {name} may hold {cap} workers"))
        }
    }
}
