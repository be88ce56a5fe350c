//! The table of transitions: one row each. [`decide`](crate::decide()) interprets it, the CEL rules
//! of the CRD, the documentation and the simulator are made from it or checked against it.
//!
//! A new transition is one row here and one variant of [`Transition`](crate::Transition).

use strum::{Display, EnumIter, EnumString, IntoStaticStr};

use crate::state::WorkerState::{
    self, Activating, Draining, Hot, HotIdle, Idle, Lost, Pending, Reserved, Retired, Spawning,
};

/// The transitions by name: labels of metrics, and `status.transitions[].name`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Display,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "each is documented by its row in TABLE")]
pub enum TransitionName {
    AdoptNew,
    Ready,
    ClaimIdle,
    ClaimHotIdle,
    Activate,
    Activated,
    Release,
    Park,
    Abandon,
    TakeOver,
    Adopt,
    RefreshLease,
    Note,
    Drain,
    RetireDrained,
    MarkLost,
    RetireFromSnapshot,
    RetireOrphanFromSnapshot,
    RetireIdleVariantFromSnapshot,
}

/// What the asker must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightKind {
    /// Owner and epoch as stored: "this is mine".
    Lease,
    /// State, owner, epoch and newest transition as seen: "this is what I saw".
    Snapshot,
    /// A live instance; the version read is the fence.
    Instance,
}

/// Where a transition leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To this state.
    To(WorkerState),
    /// It keeps the state.
    Same,
    /// To Retired, or to Lost unless it comes from Draining.
    Ends,
}

/// What becomes of the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochStep {
    /// Unchanged.
    Same,
    /// One higher.
    Next,
}

/// What becomes of the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimEffect {
    /// Unchanged.
    Keep,
    /// Set to the one asked for, or left empty where a library claims without one.
    Set,
    /// Cleared.
    Clear,
}

/// Whether it may happen to a worker that is being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileDeleting {
    /// Yes.
    Allowed,
    /// No: nothing new begins on it.
    Refused,
}

/// Who deletes the pod and the secret after a win.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// Nobody: the worker lives on, or they are gone by now.
    Nobody,
    /// The caller, in its own order, with the permit that the win hands out.
    Caller,
    /// The lifecycle itself, end to end.
    Lifecycle,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Which transition.
    pub name: TransitionName,
    /// The states that it leads from.
    pub from: &'static [WorkerState],
    /// Where it leads.
    pub to: Target,
    /// What the asker must hold.
    pub right: RightKind,
    /// What becomes of the epoch.
    pub epoch: EpochStep,
    /// What becomes of the claim.
    pub claim: ClaimEffect,
    /// Whether it may happen while the object is being deleted.
    pub deleting: WhileDeleting,
    /// Who deletes pod and secret after a win.
    pub cleanup: Cleanup,
    /// What it is for, in a sentence.
    pub meaning: &'static str,
}

const ACTIVE: &[WorkerState] = &[Spawning, Idle, Reserved, Activating, Hot, HotIdle, Draining];
const SERVING: &[WorkerState] = &[Spawning, Idle, Reserved, Activating, Hot, HotIdle];
const OWNED: &[WorkerState] =
    &[Pending, Spawning, Idle, Reserved, Activating, Hot, HotIdle, Draining];

/// The row that most transitions differ little from.
const STEP: Rule = Rule {
    name: TransitionName::Note,
    from: &[],
    to: Target::Same,
    right: RightKind::Lease,
    epoch: EpochStep::Same,
    claim: ClaimEffect::Keep,
    deleting: WhileDeleting::Allowed,
    cleanup: Cleanup::Nobody,
    meaning: "",
};

/// Every transition there is.
pub const TABLE: [Rule; 19] = [
    Rule {
        name: TransitionName::AdoptNew,
        from: &[Pending],
        to: Target::To(Spawning),
        right: RightKind::Instance,
        epoch: EpochStep::Next,
        deleting: WhileDeleting::Refused,
        meaning: "an instance takes a new worker; a pool's only if the pool names its uid",
        ..STEP
    },
    Rule {
        name: TransitionName::Ready,
        from: &[Spawning],
        to: Target::To(Idle),
        meaning: "the pod is ready and the health check answers",
        ..STEP
    },
    Rule {
        name: TransitionName::ClaimIdle,
        from: &[Idle],
        to: Target::To(Reserved),
        right: RightKind::Instance,
        epoch: EpochStep::Next,
        claim: ClaimEffect::Set,
        deleting: WhileDeleting::Refused,
        meaning: "a live instance takes an idle worker for a tenant, once and for all",
        ..STEP
    },
    Rule {
        name: TransitionName::ClaimHotIdle,
        from: &[HotIdle],
        to: Target::To(Reserved),
        right: RightKind::Instance,
        epoch: EpochStep::Next,
        claim: ClaimEffect::Set,
        deleting: WhileDeleting::Refused,
        meaning: "a live instance takes back a parked worker for the tenant it served",
        ..STEP
    },
    Rule {
        name: TransitionName::Activate,
        from: &[Reserved],
        to: Target::To(Activating),
        meaning: "the tenant's activation begins",
        ..STEP
    },
    Rule {
        name: TransitionName::Activated,
        from: &[Activating],
        to: Target::To(Hot),
        meaning: "the activation ended well",
        ..STEP
    },
    Rule {
        name: TransitionName::Release,
        from: &[Hot],
        to: Target::To(HotIdle),
        claim: ClaimEffect::Clear,
        meaning: "the sessions ended; parked for the tenant's next claim",
        ..STEP
    },
    Rule {
        name: TransitionName::Park,
        from: &[Reserved],
        to: Target::To(HotIdle),
        claim: ClaimEffect::Clear,
        meaning: "a bind that lost gives back a worker that was hot before",
        ..STEP
    },
    Rule {
        name: TransitionName::Abandon,
        from: &[Spawning, Reserved, Activating],
        to: Target::To(Retired),
        cleanup: Cleanup::Caller,
        meaning: "start or activation failed",
        ..STEP
    },
    Rule {
        name: TransitionName::TakeOver,
        from: &[Hot],
        to: Target::To(Reserved),
        right: RightKind::Instance,
        epoch: EpochStep::Next,
        meaning: "a session comes back through another instance, which knows the epoch",
        ..STEP
    },
    Rule {
        name: TransitionName::Adopt,
        from: ACTIVE,
        to: Target::Same,
        right: RightKind::Instance,
        epoch: EpochStep::Next,
        meaning: "a controller instance takes the worker of a dead or leaving owner",
        ..STEP
    },
    Rule {
        name: TransitionName::RefreshLease,
        from: &[Spawning, Idle, Hot, HotIdle],
        to: Target::Same,
        epoch: EpochStep::Next,
        meaning: "the owner renews its lease: the old one becomes stale",
        ..STEP
    },
    Rule {
        name: TransitionName::Note,
        from: OWNED,
        to: Target::Same,
        meaning: "the owner writes down what it saw: conditions, endpoint, pod and secret once",
        ..STEP
    },
    Rule {
        name: TransitionName::Drain,
        from: SERVING,
        to: Target::To(Draining),
        cleanup: Cleanup::Caller,
        meaning: "the worker shall finish its sessions and exit",
        ..STEP
    },
    Rule {
        name: TransitionName::RetireDrained,
        from: &[Draining],
        to: Target::To(Retired),
        meaning: "pod and secret are gone",
        ..STEP
    },
    Rule {
        name: TransitionName::MarkLost,
        from: SERVING,
        to: Target::To(Lost),
        cleanup: Cleanup::Caller,
        meaning: "the worker ran and is gone",
        ..STEP
    },
    Rule {
        name: TransitionName::RetireFromSnapshot,
        from: ACTIVE,
        to: Target::Ends,
        right: RightKind::Snapshot,
        cleanup: Cleanup::Lifecycle,
        meaning: "anyone ends a worker that stands as he saw it; a draining one only when overdue",
        ..STEP
    },
    Rule {
        name: TransitionName::RetireOrphanFromSnapshot,
        from: ACTIVE,
        to: Target::Ends,
        right: RightKind::Snapshot,
        cleanup: Cleanup::Lifecycle,
        meaning: "the same, for a worker whose owner is marked dead or has no Lease",
        ..STEP
    },
    Rule {
        name: TransitionName::RetireIdleVariantFromSnapshot,
        from: &[Idle, HotIdle],
        to: Target::To(Retired),
        right: RightKind::Snapshot,
        cleanup: Cleanup::Lifecycle,
        meaning: "anyone ends a worker that serves nobody: too old, too many, out of date",
        ..STEP
    },
];

impl TransitionName {
    /// Its row.
    pub fn rule(self) -> &'static Rule {
        // The enum and the table have the same order; a test holds them to it.
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn every_transition_has_its_row() {
        for name in TransitionName::iter() {
            assert_eq!(name.rule().name, name);
        }
        assert_eq!(TransitionName::iter().count(), TABLE.len());
    }

    #[test]
    fn nothing_leads_out_of_a_terminal_state() {
        for rule in &TABLE {
            assert!(!rule.from.iter().any(|s| s.is_terminal()), "{}", rule.name);
        }
    }

    #[test]
    fn only_leases_and_snapshots_end_a_worker() {
        for rule in &TABLE {
            let ends = match rule.to {
                Target::Ends => true,
                Target::To(state) => state.is_terminal(),
                Target::Same => false,
            };
            assert!(!ends || rule.right != RightKind::Instance, "{}", rule.name);
        }
    }
}
