//! A worker as the API server stores it, parsed into values that cannot be ill-formed.

use std::time::Duration;

use jiff::Timestamp;

use crate::conditions::Condition;
use crate::names::{Epoch, Image, Owner, Tenant, Uid, WriteId};
use crate::plan::health::HealthTerms;
use crate::pool::PoolRef;
use crate::state::WorkerState;
use crate::table::TransitionName;

/// How many writes and how many transitions a status remembers.
pub const REMEMBERED: usize = 5;

/// Which object: its name alone is not enough, since names come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Uid,
}

impl WorkerKey {
    /// The name that the worker's certificate bears: `status.serverName`.
    pub fn server_name(&self) -> String {
        format!("{}.{}.duckworker", self.name, self.namespace)
    }
}

impl std::fmt::Display for WorkerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One `DuckWorker`: what decisions read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Which one.
    pub key: WorkerKey,
    /// `metadata.generation` at the reading.
    pub generation: i64,
    /// When it was told to go, if it was.
    pub deletion: Option<Timestamp>,
    /// The pool that it belongs to, if it belongs to one.
    pub pool: Option<PoolRef>,
    /// The parts of its spec that decisions read.
    pub spec: WorkerTerms,
    /// Its status.
    pub status: WorkerStatus,
}

impl Worker {
    /// Somebody deleted it; only a finalizer keeps it.
    pub const fn is_deleting(&self) -> bool {
        self.deletion.is_some()
    }
}

/// The parts of a worker's spec that decisions read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerTerms {
    /// The version.
    pub image: Image,
    /// A dedicated worker serves this tenant and goes on to Hot by itself.
    pub dedicated_to: Option<Tenant>,
    /// How it is spoken to.
    pub connection: ConnectionTerms,
    /// How its health is judged.
    pub health: HealthTerms,
    /// From Spawning until Idle.
    pub startup_timeout: Duration,
    /// From Reserved until Hot.
    pub activation_timeout: Duration,
    /// From Draining until the pod is gone.
    pub drain_timeout: Duration,
    /// How long a finished worker stays readable; for ever when unset.
    pub ttl_after_finished: Option<Duration>,
}

/// What a worker speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Arrow Flight SQL over TLS.
    Flight,
    /// Nothing that we know of.
    None,
}

/// How a worker is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionTerms {
    /// In which language.
    pub protocol: Protocol,
    /// On which port of its pod.
    pub port: u16,
}

impl ConnectionTerms {
    /// Where a worker at this address listens.
    pub fn endpoint(&self, ip: &str) -> String {
        let port = self.port;
        if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
    }
}

/// Who owns a worker, and the how-manieth ownership that is. They only ever change together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ownership {
    /// The instance.
    pub owner: Owner,
    /// The epoch.
    pub epoch: Epoch,
}

/// The claim that a worker is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimRef {
    /// Name of the `DuckWorkerClaim`, in the worker's namespace.
    pub name: String,
    /// Its uid.
    pub uid: Uid,
}

/// The one pod that a worker ever has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodRef {
    /// Its name.
    pub name: String,
    /// Its uid, by which alone it is deleted.
    pub uid: Uid,
    /// Its address, once it has one.
    pub ip: Option<String>,
}

/// One change of state or owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionRecord {
    /// Its name; a newer version may know names that we do not.
    pub name: RecordedName,
    /// Why; for people.
    pub reason: Option<String>,
    /// Who did it.
    pub by: String,
    /// The epoch after it.
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
}

/// The name of a recorded transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedName {
    /// One of ours.
    Known(TransitionName),
    /// One of another version.
    Foreign(String),
}

impl RecordedName {
    /// Parses; never fails.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Foreign(text.to_owned()), Self::Known)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(name) => name.into(),
            Self::Foreign(text) => text,
        }
    }
}

/// The newest writes of a status, by which a writer knows its own again after a lost answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Writes {
    /// How many there were in all.
    pub seq: i64,
    /// The ids of the newest five, newest first.
    pub ids: Vec<WriteId>,
}

impl Writes {
    /// These with one more at the head.
    #[must_use]
    pub fn with(&self, id: WriteId) -> Self {
        let ids = std::iter::once(id).chain(self.ids.iter().cloned()).take(REMEMBERED).collect();
        Self { seq: self.seq.saturating_add(1), ids }
    }
}

/// The status of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Its state.
    pub state: WorkerState,
    /// Its owner; none only while Pending.
    pub ownership: Option<Ownership>,
    /// The tenant that it is assigned to: set once, never changed.
    pub tenant: Option<Tenant>,
    /// The claim that it is bound to.
    pub claim: Option<ClaimRef>,
    /// The newest writes.
    pub writes: Writes,
    /// The newest five changes of state or owner, newest first.
    pub transitions: Vec<TransitionRecord>,
    /// Since when it is in its state.
    pub state_since: Option<Timestamp>,
    /// Since when nobody uses it; untouched by refreshes.
    pub idle_since: Option<Timestamp>,
    /// Its pod, recorded once.
    pub pod: Option<PodRef>,
    /// The name of its secret, recorded once.
    pub secret_name: Option<String>,
    /// Where clients connect to.
    pub endpoint: Option<String>,
    /// The name that its certificate bears.
    pub server_name: Option<String>,
    /// When the tenant's credentials in it expire.
    pub credentials_expire_at: Option<Timestamp>,
    /// The generation that the last writer had seen.
    pub observed_generation: Option<i64>,
    /// What it says to people.
    pub conditions: Vec<Condition>,
}

impl WorkerStatus {
    /// The status of a worker that nobody touched yet.
    pub fn pending() -> Self {
        Self {
            state: WorkerState::Pending,
            ownership: None,
            tenant: None,
            claim: None,
            writes: Writes::default(),
            transitions: Vec::new(),
            state_since: None,
            idle_since: None,
            pod: None,
            secret_name: None,
            endpoint: None,
            server_name: None,
            credentials_expire_at: None,
            observed_generation: None,
            conditions: Vec::new(),
        }
    }

    /// The owner, if there is one.
    pub fn owner(&self) -> Option<&Owner> {
        self.ownership.as_ref().map(|o| &o.owner)
    }

    /// The epoch; zero before the first owner.
    pub fn epoch(&self) -> Epoch {
        self.ownership.as_ref().map_or(Epoch::ZERO, |o| o.epoch)
    }

    /// It served its tenant before, as far as the remembered transitions tell. When they do not
    /// tell, the answer is no, which only ever costs a restart.
    pub fn was_hot(&self) -> bool {
        use TransitionName as T;
        self.transitions.iter().any(|record| {
            matches!(
                record.name,
                RecordedName::Known(
                    T::Activated | T::Release | T::ClaimHotIdle | T::TakeOver | T::Park
                )
            )
        })
    }
}
