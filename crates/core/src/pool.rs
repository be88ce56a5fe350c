//! A pool of warm workers as the API server stores it, parsed; and what is seen of its workers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::conditions::Condition;
use crate::names::{Epoch, Fingerprint, Image, Tenant, Uid};
use crate::plan::observed::Trouble;
pub use crate::plan::pool::demand::DemandTerms;
use crate::planted::{Bug, planted};
use crate::reason::Reason;
use crate::state::WorkerState;
use crate::worker::ClaimRef;

/// The pool that a worker belongs to: what its controller reference says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolRef {
    /// The pool's name, in the worker's namespace.
    pub name: String,
    /// Its uid.
    pub uid: Uid,
}

/// Which pool: its name alone is not enough, since names come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Uid,
}

impl PoolKey {
    /// What the worker of an ordinal is called. The hash of the pool's uid keeps pools apart that
    /// bear the same name one after the other, or of which one's name begins with the other's.
    pub fn worker_name(&self, ordinal: Ordinal) -> String {
        format!("{}{ordinal}", self.name_prefix())
    }

    /// The ordinal in a worker's name, if it is one of this pool.
    pub fn ordinal_of(&self, worker: &str) -> Option<Ordinal> {
        let digits = worker.strip_prefix(&self.name_prefix())?;
        digits.parse().ok().and_then(Ordinal::new)
    }

    /// What its disruption budget is called. As one of its workers, it is no namesake's.
    pub fn budget_name(&self) -> String {
        self.name_prefix().trim_end_matches('-').to_owned()
    }

    fn name_prefix(&self) -> String {
        let hash = Fingerprint::of(self.uid.as_str().as_bytes());
        format!("{}-{}-", self.name, hash.short())
    }
}

impl fmt::Display for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The number of one worker of a pool. Never given to a second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Ordinal(i64);

impl Ordinal {
    /// A number read from an object; `None` when negative.
    pub const fn new(value: i64) -> Option<Self> {
        if value < 0 { None } else { Some(Self(value)) }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The one after it. Saturates, which 2^63 workers will not reach.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The seats of a pool: one for each worker that lives or may come to live. A worker without a
/// seat is never started, and there are never more seats than `maxWorkers`; that is what keeps the
/// maximum, whoever leads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seats {
    /// The ordinal that is given next.
    pub next: Ordinal,
    /// Those that are given, each with the uid of its worker once that is recorded.
    pub taken: BTreeMap<Ordinal, Option<Uid>>,
}

impl Seats {
    /// Whether one of them is this worker's.
    pub fn name(&self, worker: &Uid) -> bool {
        self.taken.values().flatten().any(|uid| uid == worker)
    }

    /// A number that was given and is not taken any more.
    fn given_back(&self) -> Option<Ordinal> {
        (0..self.next.get()).map(Ordinal).find(|ordinal| !self.taken.contains_key(ordinal))
    }

    /// Takes so many new ones.
    pub fn reserve(&mut self, count: usize) {
        for _ in 0..count {
            let free = self.given_back().filter(|_| planted(Bug::OrdinalReused));
            self.taken.insert(free.unwrap_or(self.next), None);
            self.next = if free.is_some() { self.next } else { self.next.next() };
        }
    }
}

/// One `DuckWorkerPool`: what decisions read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Which one.
    pub key: PoolKey,
    /// `metadata.generation` at the reading.
    pub generation: i64,
    /// When it was told to go, if it was.
    pub deletion: Option<Timestamp>,
    /// Its spec.
    pub terms: PoolTerms,
    /// Its status.
    pub status: PoolStatus,
}

/// The parts of a pool's spec that decisions read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTerms {
    /// How many idle workers are kept warm.
    pub replicas: usize,
    /// How many workers there may be, in whatever state.
    pub max_workers: usize,
    /// By how many a change of the template may lower the number of idle workers.
    pub max_unavailable: usize,
    /// By how many a change of the template may raise the number of warm workers.
    pub max_surge: usize,
    /// Whether a change of the template is carried out.
    pub rollout: Rollout,
    /// How long a change of the template may stand still before it counts as failed.
    pub progress_deadline: Duration,
    /// How many workers may start at once.
    pub max_starting: usize,
    /// The pause after a start that failed.
    pub first_pause: Duration,
    /// The longest pause after starts that failed in a row.
    pub longest_pause: Duration,
    /// The template, by its fingerprint.
    pub template: Fingerprint,
    /// Its image.
    pub image: Image,
    /// What becomes of workers that their tenant has left.
    pub hot_idle: HotIdleTerms,
    /// Whether a worker serves its tenant a second time.
    pub reuse: Reuse,
    /// Whether a tenant without a `DuckTenant` may have workers.
    pub undeclared: Undeclared,
    /// Whether pods may be evicted.
    pub disruption: Disruption,
    /// How claims that found no worker raise the number of warm ones.
    pub demand: DemandTerms,
}

/// Whether pods may be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disruption {
    /// None may.
    Protect,
    /// Idle ones may.
    AllowIdle,
}

/// Whether a change of the template is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollout {
    /// It is.
    Running,
    /// Workers of an older template are left alone.
    Paused,
}

/// How long, and how many, parked workers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotIdleTerms {
    /// How long one is kept.
    pub ttl: Duration,
    /// How many of a tenant outlive that.
    pub min_per_tenant: usize,
    /// How many of a tenant there may be.
    pub max_per_tenant: Option<usize>,
}

/// Whether a worker serves its tenant a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// It is parked for the same tenant.
    SameTenant,
    /// It is drained.
    Never,
}

/// Whether a tenant without a `DuckTenant` may have workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undeclared {
    /// It may, without a cap.
    Allow,
    /// It may not.
    Refuse,
}

/// The status of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolStatus {
    /// The generation that the last writer had seen.
    pub observed_generation: Option<i64>,
    /// Its seats.
    pub seats: Seats,
    /// How many workers it has.
    pub counts: Counts,
    /// What it says to people.
    pub conditions: Vec<Condition>,
}

/// How many workers a pool has, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Pending, or not even created.
    pub pending: usize,
    /// Spawning.
    pub spawning: usize,
    /// Idle.
    pub idle: usize,
    /// Reserved.
    pub reserved: usize,
    /// Activating.
    pub activating: usize,
    /// Hot.
    pub hot: usize,
    /// Parked.
    pub hot_idle: usize,
    /// Draining.
    pub draining: usize,
    /// Idle ones of the present template.
    pub updated: usize,
}

impl Counts {
    /// Idle, or on the way there: what `spec.replicas` compares with.
    pub const fn warm(&self) -> usize {
        self.pending + self.spawning + self.idle
    }

    /// Those that serve a tenant or are about to.
    pub const fn claimed(&self) -> usize {
        self.reserved + self.activating + self.hot
    }

    /// One more in this state.
    pub const fn add(&mut self, state: WorkerState) {
        let count = match state {
            WorkerState::Pending => &mut self.pending,
            WorkerState::Spawning => &mut self.spawning,
            WorkerState::Idle => &mut self.idle,
            WorkerState::Reserved => &mut self.reserved,
            WorkerState::Activating => &mut self.activating,
            WorkerState::Hot => &mut self.hot,
            WorkerState::HotIdle => &mut self.hot_idle,
            WorkerState::Draining => &mut self.draining,
            WorkerState::Retired | WorkerState::Lost => return,
        };
        *count += 1;
    }
}

/// A worker of a pool, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: WorkerState,
    /// Whether somebody deleted its object.
    pub deleting: bool,
    /// The template that it was made of; none if its label is gone.
    pub template: Option<Fingerprint>,
    /// Its image.
    pub image: Image,
    /// The tenant that it is assigned to.
    pub tenant: Option<Tenant>,
    /// The claim that it names.
    pub claim: Option<ClaimRef>,
    /// Its epoch.
    pub epoch: Epoch,
    /// Whether it was parked before it was claimed last.
    pub was_parked: bool,
    /// Where clients connect to.
    pub endpoint: Option<String>,
    /// The name that its certificate bears.
    pub server_name: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// Since when it is in its state.
    pub since: Timestamp,
    /// Since when nobody uses it.
    pub idle_since: Option<Timestamp>,
    /// What is in the way of its pod, or why it ended.
    pub trouble: Option<Trouble>,
}

impl Member {
    /// It is idle or may become so.
    pub const fn is_warm(&self) -> bool {
        let warm =
            matches!(self.state, WorkerState::Pending | WorkerState::Spawning | WorkerState::Idle);
        warm && !self.deleting
    }

    /// It can be claimed.
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, WorkerState::Idle) && !self.deleting
    }

    /// It is on its way to Idle.
    pub const fn is_starting(&self) -> bool {
        self.is_warm() && !self.is_ready()
    }

    /// Why it ended before anyone could use it, if what it was made of is to blame. A pod that was
    /// deleted, evicted or lost with its node tells nothing about the next one.
    pub fn failed_start(&self) -> Option<Reason> {
        use Reason as R;
        let reason = self.trouble.as_ref()?.reason;
        let blames = matches!(
            reason,
            R::ImagePullFailed
                | R::Unschedulable
                | R::QuotaExceeded
                | R::PodRefused
                | R::NameConflict
                | R::ContainerConfigError
                | R::Crashed
                | R::OutOfMemory
                | R::Unhealthy
                | R::StartupTimeout
        );
        (self.state.is_terminal() && self.tenant.is_none() && blames).then_some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, uid: &str) -> PoolKey {
        PoolKey { namespace: "data".into(), name: name.into(), uid: Uid::new(uid).unwrap() }
    }

    #[test]
    fn a_name_is_one_pools_only() {
        let (pool, longer) = (key("p", "u-1"), key("p-1", "u-2"));
        let name = pool.worker_name(Ordinal(12));
        assert_eq!(pool.ordinal_of(&name), Some(Ordinal(12)));
        assert_eq!(longer.ordinal_of(&name), None);
        assert_eq!(key("p", "u-3").ordinal_of(&name), None, "its successor");
        assert_eq!(pool.ordinal_of("p-x"), None);
    }

    #[test]
    fn ordinals_are_given_once() {
        let mut seats = Seats::default();
        seats.reserve(2);
        seats.taken.clear();
        seats.reserve(1);
        assert_eq!(seats.taken.keys().copied().collect::<Vec<_>>(), [Ordinal(2)]);
    }
}
