//! The decision: pure, total, and the only place where a fence is checked.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::conditions;
use crate::miss::Miss;
use crate::names::{Epoch, Owner};
use crate::planted::{Bug, planted};
use crate::right::{Facts, LeaseFence, Right, Room, SnapshotFence};
use crate::state::{Terminal, WorkerState};
use crate::table::{
    ClaimEffect, EpochStep, RightKind, Rule, Target, TransitionName, WhileDeleting,
};
use crate::transition::{Note, Transition};
use crate::worker::{
    ClaimRef, Ownership, REMEMBERED, RecordedName, TransitionRecord, Worker, WorkerStatus,
};

/// How much longer than its own time-out a phase may last before others step in.
pub const OVERDUE_MARGIN: Duration = Duration::from_mins(2);

/// Decides whether a transition may happen, and what the status is afterwards. The id of the
/// write is not in it: who writes puts it at the head of `writes`.
///
/// # Errors
/// The [`Miss`] that says which fence refused it. Nothing may then be written or deleted.
pub fn decide(
    worker: &Worker,
    right: &Right<'_>,
    transition: &Transition,
    facts: &Facts,
) -> Result<WorkerStatus, Miss> {
    let rule = transition.name().rule();
    check_right(worker, right, rule)?;
    if worker.is_deleting() && rule.deleting == WhileDeleting::Refused {
        return Err(Miss::Gone);
    }
    let again = rule.name == TransitionName::ClaimIdle && planted(Bug::ClaimedTwice);
    if !rule.from.contains(&worker.status.state) && !again {
        return Err(Miss::State);
    }
    check_guard(worker, right, transition, facts)?;
    Ok(apply(worker, right, transition, rule, facts.now))
}

/// The fence proper.
fn check_right(worker: &Worker, right: &Right<'_>, rule: &Rule) -> Result<(), Miss> {
    match (rule.right, right) {
        (RightKind::Lease, Right::Lease(fence)) => check_lease(worker, fence),
        (RightKind::Snapshot, Right::Snapshot { seen, .. }) => check_snapshot(worker, seen),
        (RightKind::Instance, Right::Instance(_)) => Ok(()),
        // A worker that nobody owns yet can be noted on by any instance.
        (RightKind::Lease, Right::Instance(_))
            if rule.name == TransitionName::Note && worker.status.ownership.is_none() =>
        {
            Ok(())
        }
        _ => Err(Miss::Owner),
    }
}

fn check_lease(worker: &Worker, fence: &LeaseFence) -> Result<(), Miss> {
    if worker.key.uid != fence.key.uid {
        Err(Miss::Gone)
    } else if planted(Bug::LeaseNotChecked) {
        Ok(())
    } else if worker.status.owner() != Some(&fence.owner) {
        Err(Miss::Owner)
    } else if worker.status.epoch() != fence.epoch && !planted(Bug::LeaseEpochIgnored) {
        Err(Miss::Epoch)
    } else {
        Ok(())
    }
}

fn check_snapshot(worker: &Worker, seen: &SnapshotFence) -> Result<(), Miss> {
    if worker.key.uid != seen.key.uid {
        Err(Miss::Gone)
    } else if planted(Bug::SnapshotNotChecked) {
        Ok(())
    } else if worker.status.state != seen.state {
        Err(Miss::State)
    } else if worker.status.owner() != seen.owner.as_ref() {
        Err(Miss::Owner)
    } else if worker.status.epoch() != seen.epoch {
        Err(Miss::Epoch)
    } else if worker.status.transitions.first() != seen.newest.as_ref() {
        Err(Miss::Moved)
    } else {
        Ok(())
    }
}

/// What a transition asks beyond right and state.
fn check_guard(
    worker: &Worker,
    right: &Right<'_>,
    transition: &Transition,
    facts: &Facts,
) -> Result<(), Miss> {
    let status = &worker.status;
    match transition {
        Transition::AdoptNew => room(facts),
        Transition::ClaimIdle { tenant, .. } => {
            let dedicated = worker.spec.dedicated_to.as_ref();
            ensure(dedicated.is_none_or(|own| own == tenant), Miss::Assignment)?;
            room(facts)
        }
        Transition::ClaimHotIdle { tenant, version, .. } => {
            let same_tenant =
                status.tenant.as_ref() == Some(tenant) || planted(Bug::TenantNotCompared);
            let same_version = version.as_ref().is_none_or(|v| *v == worker.spec.image);
            ensure(same_tenant && same_version, Miss::Assignment)?;
            room(facts)
        }
        Transition::TakeOver { tenant, expected } => {
            let same = status.epoch() == *expected || planted(Bug::TakeOverAnyEpoch);
            ensure(same, Miss::Epoch)?;
            let fits = status.tenant.as_ref() == Some(tenant) && status.claim.is_none();
            ensure(fits, Miss::Assignment)
        }
        Transition::Adopt => {
            ensure(status.owner() != Some(right.by()), Miss::Owner)?;
            let neglected = worker
                .deletion
                .is_some_and(|since| elapsed(since, facts.now) >= worker.spec.drain_timeout);
            let anybodys = planted(Bug::DeletionIsConsent) && worker.is_deleting()
                || planted(Bug::AdoptFromTheLiving);
            ensure(facts.owner.gives_up() || neglected || anybodys, Miss::OwnerAlive)
        }
        Transition::Park => ensure(status.was_hot(), Miss::State),
        Transition::Ready(note) | Transition::Note(note) => check_note(status, note),
        Transition::RetireFromSnapshot(end, _) => {
            ensure(may_end(status.state, *end), Miss::State)?;
            let waits = status.state == WorkerState::Draining
                && !is_drain_overdue(worker, facts.now)
                && !facts.owner.is_dead();
            ensure(!waits, Miss::OwnerAlive)
        }
        Transition::RetireOrphanFromSnapshot(end, _) => {
            ensure(may_end(status.state, *end), Miss::State)?;
            let dead = facts.owner.is_dead() || planted(Bug::LivingOrphans);
            ensure(dead, Miss::OwnerAlive)
        }
        _ => Ok(()),
    }
}

fn ensure(holds: bool, otherwise: Miss) -> Result<(), Miss> {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn room(facts: &Facts) -> Result<(), Miss> {
    ensure(facts.room == Room::Free, Miss::Capacity)
}

const fn may_end(from: WorkerState, end: Terminal) -> bool {
    matches!(end, Terminal::Retired) || !matches!(from, WorkerState::Draining)
}

/// Draining longer than the worker was given, and a margin more.
pub fn is_drain_overdue(worker: &Worker, now: Timestamp) -> bool {
    worker.status.state == WorkerState::Draining
        && worker.status.state_since.is_some_and(|since| {
            elapsed(since, now) >= worker.spec.drain_timeout.saturating_add(OVERDUE_MARGIN)
        })
}

/// The time between two stamps, zero when they stand the other way round.
pub fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    let span: SignedDuration = now.duration_since(since);
    Duration::try_from(span).unwrap_or(Duration::ZERO)
}

/// Pod and secret are recorded once, and before the first owner there are only conditions.
fn check_note(status: &WorkerStatus, note: &Note) -> Result<(), Miss> {
    let pod_fits = match (&status.pod, &note.pod) {
        (Some(old), Some(new)) => old.uid == new.uid,
        _ => true,
    };
    let secret_fits = match (&status.secret_name, &note.secret_name) {
        (Some(old), Some(new)) => old == new,
        _ => true,
    };
    let owned = status.ownership.is_some();
    let only_conditions = *note == Note { conditions: note.conditions.clone(), ..Note::default() };
    ensure(pod_fits && secret_fits && (owned || only_conditions), Miss::State)
}

fn apply(
    worker: &Worker,
    right: &Right<'_>,
    transition: &Transition,
    rule: &Rule,
    now: Timestamp,
) -> WorkerStatus {
    let mut status = worker.status.clone();
    let before = (status.state, status.owner().cloned());
    status.state = target(rule.to, transition, status.state);
    if rule.epoch == EpochStep::Next {
        let kept = planted(Bug::EpochKept) && rule.name != TransitionName::AdoptNew;
        let epoch: Epoch = if kept { status.epoch() } else { status.epoch().next() };
        status.ownership = Some(Ownership { owner: right.by().clone(), epoch });
    }
    apply_assignment(&mut status, transition, rule.claim);
    if let Transition::Ready(note) | Transition::Note(note) = transition {
        apply_note(&mut status, note);
    }
    if let Transition::Activated { credentials_expire_at } = transition {
        status.credentials_expire_at = *credentials_expire_at;
    }
    if status.state != before.0 {
        status.state_since = Some(now);
        status.idle_since = idle_since(&status, now);
    }
    if rule.name == TransitionName::RefreshLease && planted(Bug::RefreshRestartsIdleClock) {
        status.idle_since = idle_since(&status, now);
    }
    if rule.name == TransitionName::Note && planted(Bug::NoteRestartsClock) {
        status.state_since = Some(now);
    }
    if (status.state, status.owner().cloned()) != before {
        remember(&mut status, right.by(), transition, now);
    }
    status.observed_generation = Some(worker.generation);
    conditions::follow_state(&mut status, worker, now);
    status
}

fn target(to: Target, transition: &Transition, from: WorkerState) -> WorkerState {
    match (to, transition) {
        (Target::To(state), _) => state,
        (
            Target::Ends,
            Transition::RetireFromSnapshot(end, _) | Transition::RetireOrphanFromSnapshot(end, _),
        ) => (*end).into(),
        (Target::Same | Target::Ends, _) => from,
    }
}

fn apply_assignment(status: &mut WorkerStatus, transition: &Transition, effect: ClaimEffect) {
    let (tenant, claim): (Option<_>, Option<&ClaimRef>) = match transition {
        Transition::ClaimIdle { tenant, claim } => (Some(tenant), claim.as_ref()),
        Transition::ClaimHotIdle { claim, .. } => (None, claim.as_ref()),
        _ => (None, None),
    };
    if let Some(tenant) = tenant {
        status.tenant = Some(tenant.clone());
    }
    match effect {
        ClaimEffect::Keep => {}
        ClaimEffect::Clear if planted(Bug::ReleaseKeepsClaim) => {}
        ClaimEffect::Set => status.claim = claim.cloned(),
        ClaimEffect::Clear => status.claim = None,
    }
}

fn apply_note(status: &mut WorkerStatus, note: &Note) {
    fn set<T: Clone>(field: &mut Option<T>, value: Option<&T>) {
        if let Some(value) = value {
            *field = Some(value.clone());
        }
    }
    if status.pod.is_none() && note.pod.is_some() {
        conditions::pod_made(status);
    }
    set(&mut status.pod, note.pod.as_ref());
    set(&mut status.secret_name, note.secret_name.as_ref());
    set(&mut status.endpoint, note.endpoint.as_ref());
    set(&mut status.server_name, note.server_name.as_ref());
    set(&mut status.credentials_expire_at, note.credentials_expire_at.as_ref());
    for condition in &note.conditions {
        conditions::set(&mut status.conditions, condition.clone());
    }
}

/// Idle clocks start when a worker comes to rest and stop when it is used again.
fn idle_since(status: &WorkerStatus, now: Timestamp) -> Option<Timestamp> {
    match status.state {
        WorkerState::Idle | WorkerState::HotIdle => Some(now),
        _ => None,
    }
}

fn remember(status: &mut WorkerStatus, by: &Owner, transition: &Transition, at: Timestamp) {
    let record = TransitionRecord {
        name: RecordedName::Known(transition.name()),
        reason: transition.reason().map(|reason| reason.to_string()),
        by: by.to_string(),
        epoch: status.epoch(),
        at,
    };
    status.transitions.insert(0, record);
    status.transitions.truncate(REMEMBERED);
}
