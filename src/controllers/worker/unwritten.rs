//! The end of a worker that is being deleted and whose object has grown too large for one more
//! write of its status. Its pod still gets its time to drain, its secrets are swept, the finalizer
//! goes; only the history of it cannot be told in the object.

use duckworker_client::children::Finalized;
use duckworker_client::{Error, Outcome};

use super::act::{Progress, RECHECK};
use super::context::Context;
use super::sight::Sight;
use crate::observe::EventReason;

/// Goes on without the write that was refused.
///
/// # Errors
/// The refusal itself, where this is not the case or not ours to do; or whatever else failed.
pub async fn end(context: &Context, sight: &Sight, refusal: Error) -> Result<Progress, Error> {
    let outcome = context.lifecycle.condemn_unwritable(&sight.snapshot, &refusal).await?;
    let Outcome::Transitioned(permit) = outcome else { return Err(refusal) };
    let message =
        "its object is too large for its status to be written; it is deleted all the same";
    context.observer.event(&sight.snapshot, EventReason::StatusTooLarge, message);
    let Some(swept) = context.children.clean_up(permit).await? else {
        // The watch tells when the pod is gone.
        return Ok(Progress::Rest);
    };
    match context.children.remove_finalizer(&sight.snapshot, swept).await? {
        Finalized::Done(_) => Ok(Progress::Rest),
        Finalized::Moved => Ok(Progress::Wait(RECHECK)),
    }
}
