//! A worker that was made for its tenant: claimed for it by its own controller.

use duckworker_client::{Error, Origin, Outcome};
use duckworker_core::conditions::{Condition, ConditionStatus, ConditionType};
use duckworker_core::plan::worker::note_once;
use duckworker_core::{Miss, Tenant};

use super::act::{Progress, moved};
use super::context::Context;
use super::sight::Sight;

/// One whose tenant has all that it may have waits: a change of the tenant wakes it.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn claim(context: &Context, sight: &Sight, tenant: Tenant) -> Result<Progress, Error> {
    let lifecycle = &context.lifecycle;
    let message = format!("tenant {tenant} holds all the workers that its DuckTenant allows");
    let outcome = lifecycle.claim_idle(&sight.snapshot, tenant, None, Origin::Claim).await?;
    let Outcome::Missed(Miss::Capacity) = outcome else { return moved(outcome) };
    let (kind, holds) = (ConditionType::TenantAtCap, ConditionStatus::True);
    let condition = Condition::new(kind, holds, "TenantAtCap", message, context.clock.now());
    if let (Some(note), Some(lease)) =
        (note_once(sight.snapshot.worker(), condition), sight.lease.as_ref())
    {
        let _told = lifecycle.note(lease, note, Origin::Claim).await?;
    }
    Ok(Progress::Rest)
}
