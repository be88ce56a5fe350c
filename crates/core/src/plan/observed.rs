//! What was seen of a worker's pod and secret, as plain values that plans read.
//!
//! Kubernetes types end at the room that fills these; so the plans stay pure and their tests say
//! in one line what was seen.

use jiff::Timestamp;

use crate::names::Uid;
use crate::reason::Reason;

/// Whose a found object is. Told by the worker's uid in a place that cannot be changed after
/// creation: labels can be forged and owner references stripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whose {
    /// This worker's.
    Ours,
    /// Somebody else's that has the same name. It is left alone.
    Foreign,
}

/// Something that went wrong, for a transition's reason and a condition's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// One word why.
    pub reason: Reason,
    /// A sentence of bounded length, without secrets.
    pub message: String,
}

impl Trouble {
    /// A trouble.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// A pod, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSeen {
    /// Its uid.
    pub uid: Uid,
    /// Whether it is this worker's.
    pub whose: Whose,
    /// How far it has come.
    pub phase: PodPhase,
    /// Whether, and why, it was told to stop.
    pub stop: Option<PodStop>,
    /// Its address, once it has one.
    pub ip: Option<String>,
    /// The node that it was put on.
    pub node: Option<String>,
    /// Whether it is marked busy or idle, for those who would evict it.
    pub mark: Option<Mark>,
}

/// What a pod says to those who would evict it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Its worker serves a tenant, or is about to: leave it alone.
    Busy,
    /// Nobody uses it.
    Idle,
}

impl PodSeen {
    /// It is this worker's.
    pub fn is_ours(&self) -> bool {
        self.whose == Whose::Ours
    }

    /// It runs, is ready and was not told to stop.
    pub const fn serves(&self) -> bool {
        self.stop.is_none() && matches!(self.phase, PodPhase::Running(Readiness::Ready))
    }

    /// What keeps it from starting.
    pub const fn blocked(&self) -> Option<&Trouble> {
        match &self.phase {
            PodPhase::Starting { blocked } => blocked.as_ref(),
            _ => None,
        }
    }

    /// How its process ended.
    pub const fn ended(&self) -> Option<&Trouble> {
        match &self.phase {
            PodPhase::Ended(why) => Some(why),
            _ => None,
        }
    }
}

/// How far a pod has come, judged by its container `duckdb` and not by its sidecars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodPhase {
    /// DuckDB does not run yet.
    Starting {
        /// What is in its way. It may pass by itself, so only time makes it final.
        blocked: Option<Trouble>,
    },
    /// DuckDB runs.
    Running(Readiness),
    /// DuckDB has ended, and will not be started again.
    Ended(Trouble),
}

/// What the kubelet says of a running pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// Its readiness probes pass.
    Ready,
    /// They do not, or its node does not answer.
    NotReady,
}

/// That a pod was told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodStop {
    /// When its grace ends: what `metadata.deletionTimestamp` says.
    pub by: Timestamp,
    /// Who told it, as far as the pod shows: an eviction, or a plain delete.
    pub why: Trouble,
}

/// A secret, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSeen {
    /// Its uid.
    pub uid: Uid,
    /// Whether it is this worker's.
    pub whose: Whose,
    /// When it was told to go.
    pub deletion: Option<Timestamp>,
}
