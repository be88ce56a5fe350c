//! What a claim's status says.

use jiff::Timestamp;

use super::View;
use crate::claim::{Bound, Claim, ClaimStatus, Phase, Source};
use crate::conditions::{self, Condition, ConditionStatus};
use crate::pool::Member;

/// Why a claim waits: a word, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The word.
    pub reason: String,
    /// The sentence.
    pub message: String,
}

impl Why {
    /// For this reason.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }
}

const READY: &str = "Ready";
const STALLED: &str = "Stalled";
/// What the schema says of a claim that nobody has looked at.
const PENDING: &str = "Pending";
const LOST: &str = "WorkerLost";
/// The tenant holds all that it may hold.
pub const TENANT_AT_CAP: &str = "TenantAtCap";
/// The pool serves declared tenants only, and this one is not.
pub const TENANT_UNDECLARED: &str = "TenantUndeclared";
/// The tenant is being deleted.
pub const TENANT_DELETING: &str = "TenantDeleting";

/// It waits, for this reason.
pub fn waiting(view: &View<'_>) -> ClaimStatus {
    let mut status = waiting_for(view.claim, view.why, view.now);
    status.phase = Phase::Pending;
    status
}

/// It is not Ready, for this reason.
pub fn waiting_for(claim: &Claim, why: &Why, now: Timestamp) -> ClaimStatus {
    let mut status = claim.status.clone();
    say(&mut status, (claim, now), READY, ConditionStatus::False, why);
    status
}

/// It had a worker, which is gone, and waits for another.
pub fn waiting_again(view: &View<'_>) -> ClaimStatus {
    let mut status = without_worker(view);
    status.phase = Phase::Pending;
    let why = Why::new(LOST, format!("its {} is gone; it gets another", worker(view)));
    say(&mut status, (view.claim, view.now), READY, ConditionStatus::False, &why);
    status
}

/// It had a worker, which is gone, and wanted no other.
pub fn lost(view: &View<'_>) -> ClaimStatus {
    let mut status = view.claim.status.clone();
    status.phase = Phase::Lost;
    let message =
        format!("its {} is gone; spec.onWorkerLoss is Fail: create another", worker(view));
    end(status, view, &Why::new(LOST, message))
}

/// None came in time.
pub fn failed(view: &View<'_>) -> ClaimStatus {
    let mut status = without_worker(view);
    status.phase = Phase::Failed;
    let message = format!("no worker came in time: {}", view.why.message);
    end(status, view, &Why::new("Timeout", message))
}

/// It has a worker, which is being activated.
pub fn bound(view: &View<'_>, worker: &Member) -> ClaimStatus {
    let mut status = with_worker(view, worker);
    status.phase = Phase::Bound;
    let why = Why::new("Activating", format!("worker {} is being activated", worker.name));
    say(&mut status, (view.claim, view.now), READY, ConditionStatus::False, &why);
    status
}

/// It can be used.
pub fn ready(view: &View<'_>, worker: &Member) -> ClaimStatus {
    let mut status = with_worker(view, worker);
    status.phase = Phase::Ready;
    status.endpoint.clone_from(&worker.endpoint);
    status.server_name.clone_from(&worker.server_name);
    status.connection_secret = Some(secret_name(view.claim));
    status.ready_at = Some(view.now);
    let why = Why::new("Ready", format!("worker {} serves it", worker.name));
    say(&mut status, (view.claim, view.now), READY, ConditionStatus::True, &why);
    status
}

/// What a claim's connection secret is called.
pub fn secret_name(claim: &Claim) -> String {
    format!("{}-conn", claim.key.name)
}

/// Since when it waits: for its first worker, or for the one after a loss.
pub fn waits_since(claim: &Claim) -> Timestamp {
    let ready = claim.status.conditions.iter().find(|condition| condition.kind == READY);
    let again = claim.status.ready_at.and(ready).map(|condition| condition.since);
    again.unwrap_or(claim.created)
}

fn worker(view: &View<'_>) -> String {
    let bound = view.claim.status.worker.as_ref();
    bound.map_or_else(|| "worker".to_owned(), |bound| format!("worker {}", bound.name))
}

fn with_worker(view: &View<'_>, worker: &Member) -> ClaimStatus {
    let mut status = view.claim.status.clone();
    status.worker =
        Some(Bound { name: worker.name.clone(), uid: worker.uid.clone(), epoch: worker.epoch });
    status.source = Some(source(view.claim, worker));
    status
}

fn source(claim: &Claim, worker: &Member) -> Source {
    // Stamps of creation count whole seconds; whether a worker was started for it is what its status
    // tells. Who waited for the tenant's place found the worker there.
    const NOT_FOR_A_WORKER: [&str; 5] =
        [PENDING, LOST, TENANT_AT_CAP, TENANT_UNDECLARED, TENANT_DELETING];
    let ready = claim.status.conditions.iter().find(|condition| condition.kind == READY);
    let waited = ready.is_some_and(|ready| !NOT_FOR_A_WORKER.contains(&ready.reason.as_str()));
    if worker.was_parked {
        Source::HotIdle
    } else if waited && claim.status.worker.is_none() {
        Source::Cold
    } else {
        claim.status.source.unwrap_or(Source::Warm)
    }
}

fn without_worker(view: &View<'_>) -> ClaimStatus {
    let mut status = view.claim.status.clone();
    (status.worker, status.source) = (None, None);
    (status.endpoint, status.server_name, status.connection_secret) = (None, None, None);
    status
}

fn end(mut status: ClaimStatus, view: &View<'_>, why: &Why) -> ClaimStatus {
    say(&mut status, (view.claim, view.now), READY, ConditionStatus::False, why);
    say(&mut status, (view.claim, view.now), STALLED, ConditionStatus::True, why);
    status
}

fn say(
    status: &mut ClaimStatus,
    (claim, now): (&Claim, Timestamp),
    kind: &str,
    holds: ConditionStatus,
    why: &Why,
) {
    let generation = Some(claim.generation);
    let new = Condition {
        kind: kind.to_owned(),
        status: holds,
        reason: why.reason.clone(),
        message: why.message.clone(),
        observed_generation: generation,
        since: now,
    };
    let known = status
        .conditions
        .iter()
        .any(|old| old.says_the_same(&new) && old.observed_generation == generation);
    if !known {
        conditions::set(&mut status.conditions, new);
    }
    status.observed_generation = generation;
}
