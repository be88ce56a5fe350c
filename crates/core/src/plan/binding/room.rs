//! Room for a claim whose tenant holds all that it may hold.

use super::queue::Want;
use crate::claim::Claim;
use crate::state::WorkerState;
use crate::tenant::Allowance;
use crate::worker::Worker;

/// Whether a claim waits for nothing but room under its tenant's cap.
pub fn is_full(claim: &Claim, want: &Want) -> bool {
    want.allowance == Allowance::More(0) && claim.waits()
}

/// Of the workers that the tenant holds, the longest parked one that cannot serve the claim: it is of
/// another version, or of another pool. One at a time: while an earlier one goes, its place is about
/// to come free.
pub fn obstacle<'a>(claim: &Claim, want: &Want, held: &[&'a Worker]) -> Option<&'a Worker> {
    if held.iter().any(|worker| worker.status.state.is_condemned()) {
        return None;
    }
    let useless = |worker: &&&Worker| {
        let elsewhere = worker.pool.as_ref().is_none_or(|pool| pool.name != claim.pool);
        let parked = worker.status.state == WorkerState::HotIdle;
        parked && (elsewhere || worker.spec.image != want.image)
    };
    held.iter().filter(useless).min_by_key(|worker| worker.status.idle_since).copied()
}
