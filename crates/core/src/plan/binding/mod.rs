//! The life of a claim: what its binder does next.
//!
//! A claim is bound when both sides name each other. The worker comes first: it is claimed by a
//! compare-and-swap that writes the claim's uid into its status; then it is activated by its
//! owner; then the claim's status is written, by one compare-and-swap that decides between two
//! binders. The worker that loses is given back by its own plan, since its claim names another.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the view, the steps, and their order |
//! | [`queue`] | whose turn it is, and which worker is whose |
//! | [`room`] | which of its tenant's own workers stands in a claim's way |
//! | [`status`] | what a claim's status says |
//! | [`why`] | why a claim waits |

pub mod queue;
pub mod room;
pub mod status;
pub mod why;

use std::time::Duration;

use jiff::Timestamp;

use crate::claim::{Claim, ClaimStatus, OnLoss, Phase};
use crate::decide::elapsed;
use crate::names::Uid;
use crate::pool::Member;
use crate::state::WorkerState;

/// Everything that the plan may know.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The claim, as new as the asker knows it.
    pub claim: &'a Claim,
    /// The worker that names the claim, as it was seen.
    pub worker: Option<&'a Member>,
    /// Whether the claim's connection secret is that of this worker.
    pub secret: SecretStanding,
    /// Whether the worker that the claim names is gone, or no longer names it, by a consistent read.
    pub loss: Loss,
    /// The worker whose turn it is for this claim.
    pub next_worker: Option<&'a Uid>,
    /// A parked worker of the tenant that cannot serve this claim and takes up the last of what
    /// the tenant may have.
    pub in_the_way: Option<&'a Uid>,
    /// Why it waits, if it must.
    pub why: &'a status::Why,
    /// The API server's time.
    pub now: Timestamp,
}

/// What is known of a claim's connection secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretStanding {
    /// It was made for this worker.
    Made,
    /// It was not, as far as this process knows.
    NotMade,
}

/// What is known of the worker that a claim names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// A consistent read shows that it is not the claim's any more.
    Proven,
    /// Nobody has asked.
    Unproven,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Claim this worker.
    Take(Uid),
    /// End this parked worker, so that the tenant may be given another.
    MakeRoom(Uid),
    /// Make the connection secret for this worker, which names the claim.
    MakeSecret(Uid),
    /// Read the worker that the claim names, consistently.
    LookForWorker,
    /// Write this status, by a compare-and-swap on the version that was read.
    Write(ClaimStatus),
    /// Nothing until something changes, or until this time has passed.
    Wait(Duration),
    /// Nothing until something changes.
    Rest,
}

/// An activation that takes longer is told as `Bound`; a shorter one costs no write.
const QUICK: Duration = Duration::from_secs(2);

/// The next step for this claim.
pub fn next(view: &View<'_>) -> Step {
    let claim = view.claim;
    if claim.deletion.is_some() || claim.status.phase.is_final() {
        return Step::Rest;
    }
    match view.worker.filter(|worker| is_bound(worker)) {
        Some(worker) => bound(view, worker),
        None if claim.status.worker.is_some() => lost(view),
        None => waiting(view),
    }
}

/// The worker is the claim's, or is about to be.
const fn is_bound(worker: &Member) -> bool {
    use WorkerState as S;
    matches!(worker.state, S::Reserved | S::Activating | S::Hot)
}

fn bound(view: &View<'_>, worker: &Member) -> Step {
    let recorded = view.claim.status.worker.as_ref().map(|bound| &bound.uid);
    if recorded.is_some_and(|recorded| *recorded != worker.uid) {
        // Another binder was quicker. This worker's plan gives it back.
        return Step::Rest;
    }
    match (worker.state, view.claim.status.phase) {
        (WorkerState::Hot, Phase::Ready) if recorded.is_some() => Step::Rest,
        // It is told already, and what is still to be done waits for the activation.
        (WorkerState::Reserved | WorkerState::Activating, Phase::Bound) => Step::Rest,
        // While it is being activated: nobody is told of the secret before that is done.
        _ if view.secret == SecretStanding::NotMade => Step::MakeSecret(worker.uid.clone()),
        (WorkerState::Hot, _) => Step::Write(status::ready(view, worker)),
        _ => {
            let left = QUICK.saturating_sub(elapsed(worker.since, view.now));
            if left.is_zero() { Step::Write(status::bound(view, worker)) } else { Step::Wait(left) }
        }
    }
}

fn lost(view: &View<'_>) -> Step {
    match (view.loss, view.claim.on_loss) {
        (Loss::Unproven, _) => Step::LookForWorker,
        (Loss::Proven, OnLoss::Fail) => Step::Write(status::lost(view)),
        (Loss::Proven, OnLoss::Rebind) => Step::Write(status::waiting_again(view)),
    }
}

fn waiting(view: &View<'_>) -> Step {
    let left = view
        .claim
        .timeout
        .map(|limit| limit.saturating_sub(elapsed(status::waits_since(view.claim), view.now)));
    if left.is_some_and(|left| left.is_zero()) {
        return Step::Write(status::failed(view));
    }
    if let Some(worker) = view.next_worker {
        return Step::Take(worker.clone());
    }
    if let Some(worker) = view.in_the_way {
        return Step::MakeRoom(worker.clone());
    }
    let status = status::waiting(view);
    if status != view.claim.status {
        return Step::Write(status);
    }
    left.map_or(Step::Rest, Step::Wait)
}
