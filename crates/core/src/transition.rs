//! What can be asked of a worker, with its arguments.

use jiff::Timestamp;

use crate::conditions::Condition;
use crate::names::{Epoch, Image, Tenant};
use crate::reason::Reason;
use crate::state::Terminal;
use crate::table::TransitionName;
use crate::worker::{ClaimRef, PodRef};

/// A request for one transition. Its rules stand in [`TABLE`](crate::TABLE).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is documented by its row in TABLE")]
pub enum Transition {
    AdoptNew,
    Ready(Note),
    ClaimIdle {
        tenant: Tenant,
        claim: Option<ClaimRef>,
    },
    ClaimHotIdle {
        tenant: Tenant,
        /// The version wanted; any if none.
        version: Option<Image>,
        claim: Option<ClaimRef>,
    },
    Activate,
    Activated {
        credentials_expire_at: Option<Timestamp>,
    },
    Release,
    Park,
    Abandon(Reason),
    TakeOver {
        tenant: Tenant,
        /// The epoch that the session's record names.
        expected: Epoch,
    },
    Adopt,
    RefreshLease,
    Note(Note),
    Drain(Reason),
    RetireDrained,
    MarkLost(Reason),
    RetireFromSnapshot(Terminal, Reason),
    RetireOrphanFromSnapshot(Terminal, Reason),
    RetireIdleVariantFromSnapshot(Reason),
}

impl Transition {
    /// Its name.
    pub const fn name(&self) -> TransitionName {
        use TransitionName as N;
        match self {
            Self::AdoptNew => N::AdoptNew,
            Self::Ready(_) => N::Ready,
            Self::ClaimIdle { .. } => N::ClaimIdle,
            Self::ClaimHotIdle { .. } => N::ClaimHotIdle,
            Self::Activate => N::Activate,
            Self::Activated { .. } => N::Activated,
            Self::Release => N::Release,
            Self::Park => N::Park,
            Self::Abandon(_) => N::Abandon,
            Self::TakeOver { .. } => N::TakeOver,
            Self::Adopt => N::Adopt,
            Self::RefreshLease => N::RefreshLease,
            Self::Note(_) => N::Note,
            Self::Drain(_) => N::Drain,
            Self::RetireDrained => N::RetireDrained,
            Self::MarkLost(_) => N::MarkLost,
            Self::RetireFromSnapshot(..) => N::RetireFromSnapshot,
            Self::RetireOrphanFromSnapshot(..) => N::RetireOrphanFromSnapshot,
            Self::RetireIdleVariantFromSnapshot(_) => N::RetireIdleVariantFromSnapshot,
        }
    }

    /// The tenant that it is for, where the asker names one.
    pub const fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::ClaimIdle { tenant, .. }
            | Self::ClaimHotIdle { tenant, .. }
            | Self::TakeOver { tenant, .. } => Some(tenant),
            _ => None,
        }
    }

    /// Why, where the asker says so.
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Abandon(reason)
            | Self::Drain(reason)
            | Self::MarkLost(reason)
            | Self::RetireFromSnapshot(_, reason)
            | Self::RetireOrphanFromSnapshot(_, reason)
            | Self::RetireIdleVariantFromSnapshot(reason) => Some(*reason),
            _ => None,
        }
    }
}

/// What an owner saw of its worker and writes down. Empty fields leave the status as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Note {
    /// The pod: its uid is recorded once, its address follows.
    pub pod: Option<PodRef>,
    /// The secret's name, recorded once.
    pub secret_name: Option<String>,
    /// Where clients connect to.
    pub endpoint: Option<String>,
    /// The name that the certificate bears.
    pub server_name: Option<String>,
    /// When the tenant's credentials expire.
    pub credentials_expire_at: Option<Timestamp>,
    /// Conditions to set. Those of the state itself (Ready, Stalled) follow from the state.
    pub conditions: Vec<Condition>,
}
