//! The end of an activation: the worker takes its tenant's credentials, and its claim is told.

use duckworker_client::{ActivationError, NotActivated, Origin, Outcome, WorkerLease};
use duckworker_core::Reason;
use kube::runtime::reflector::ObjectRef;

use super::act::{Done, Progress, RECHECK, ended, moved};
use super::context::Context;
use super::endings::Ending;
use super::sight::Sight;

/// Tells the worker its tenant's credentials; then it is hot.
pub(super) async fn finish(context: &Context, sight: &mut Sight, lease: &WorkerLease) -> Done {
    let patience = sight.snapshot.worker().spec.activation_timeout;
    match context.activator.finish(&sight.snapshot, lease, patience).await {
        Ok(outcome) => {
            if matches!(outcome, Outcome::Transitioned(_)) {
                tell_claim(context, sight);
            }
            moved(outcome)
        }
        Err(ActivationError::Call(error)) => Err(error),
        Err(ActivationError::Worker(error @ NotActivated::Untold(_))) => {
            tracing::info!(worker = %lease.key(), %error, "it is tried again");
            Ok(Progress::Wait(RECHECK))
        }
        Err(ActivationError::Worker(error @ NotActivated::Failed(_))) => {
            tracing::warn!(worker = %lease.key(), %error, "it is abandoned");
            sight.why = Some(error.to_string());
            let reason = Reason::ActivationFailed;
            let outcome = context.lifecycle.abandon(lease, reason, Origin::Activation).await?;
            ended(context, sight, Ending::Abandoned, reason, outcome)
        }
    }
}

/// The claim is Ready by what we wrote: it need not wait until the watch shows that.
fn tell_claim(context: &Context, sight: &Sight) {
    let worker = sight.snapshot.worker();
    context.caches.members.activated(&worker.key.uid, sight.snapshot.version());
    if let Some(claim) = &worker.status.claim {
        let claim = ObjectRef::new(&claim.name).within(&worker.key.namespace);
        // Nobody listens only when this scope ends.
        let _ = context.served_claims.send(claim);
    }
}
