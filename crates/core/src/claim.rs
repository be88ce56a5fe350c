//! A tenant's claim for a worker, as the API server stores it, parsed.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use strum::{Display, EnumString, IntoStaticStr};

use crate::conditions::Condition;
use crate::names::{Epoch, Tenant, Uid};

/// Which claim: its name alone is not enough, since names come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Uid,
}

impl fmt::Display for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// How far a claim has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Display, EnumString, IntoStaticStr)]
pub enum Phase {
    /// It waits for a worker.
    #[default]
    Pending,
    /// It has one, which is being activated.
    Bound,
    /// It can be used.
    Ready,
    /// Its worker is gone, and it wanted no other. Final.
    Lost,
    /// None came in time. Final.
    Failed,
}

impl Phase {
    /// It gets no worker any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Lost | Self::Failed)
    }
}

/// Where a claim's worker came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, IntoStaticStr)]
pub enum Source {
    /// It stood idle in the pool.
    Warm,
    /// It served the same tenant before.
    HotIdle,
    /// It was started while the claim waited.
    Cold,
}

/// What becomes of a claim whose worker is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLoss {
    /// It gets another one.
    Rebind,
    /// It is Lost for good.
    Fail,
}

/// One `DuckWorkerClaim`: what decisions read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which one.
    pub key: ClaimKey,
    /// `metadata.generation` at the reading.
    pub generation: i64,
    /// When it was created.
    pub created: Timestamp,
    /// When it was told to go, if it was.
    pub deletion: Option<Timestamp>,
    /// Of which pool.
    pub pool: String,
    /// For whom.
    pub tenant: Tenant,
    /// How long it may wait; for ever if unset.
    pub timeout: Option<Duration>,
    /// What becomes of it when its worker is lost.
    pub on_loss: OnLoss,
    /// Its status.
    pub status: ClaimStatus,
}

impl Claim {
    /// It has this worker, or may yet get it.
    pub fn wants(&self, worker: &Uid) -> bool {
        let other = self.status.worker.as_ref().is_some_and(|bound| bound.uid != *worker);
        self.deletion.is_none() && !self.status.phase.is_final() && !other
    }

    /// It waits for a worker.
    pub const fn waits(&self) -> bool {
        self.deletion.is_none() && matches!(self.status.phase, Phase::Pending)
    }
}

/// The status of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimStatus {
    /// How far it has come.
    pub phase: Phase,
    /// The worker that it got.
    pub worker: Option<Bound>,
    /// Where that came from.
    pub source: Option<Source>,
    /// Where to connect to.
    pub endpoint: Option<String>,
    /// The name that the worker's certificate bears.
    pub server_name: Option<String>,
    /// The secret with all that a client needs.
    pub connection_secret: Option<String>,
    /// When it last became Ready.
    pub ready_at: Option<Timestamp>,
    /// The generation that the last writer had seen.
    pub observed_generation: Option<i64>,
    /// What it says to people.
    pub conditions: Vec<Condition>,
}

/// The worker of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Uid,
    /// Its epoch when it was bound.
    pub epoch: Epoch,
}
