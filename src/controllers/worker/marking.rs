//! The marks on pods whose pool lets idle ones be evicted.

use duckworker_api::marks;
use duckworker_client::store::version_of;
use duckworker_client::{Error, ErrorClass};
use duckworker_core::plan::observed::Mark;
use duckworker_core::pool::Disruption;
use kube::api::DynamicObject;

use super::act::Progress;
use super::context::Context;
use super::sight::Sight;

/// A pod that will be idle first bears that mark from the beginning, without a write of its own.
pub fn from_birth(context: &Context, sight: &Sight, mut pod: DynamicObject) -> DynamicObject {
    if context.caches.disruption_of(&sight.snapshot) == Disruption::AllowIdle {
        marks::put_on(&mut pod.metadata, Mark::Idle);
    }
    pod
}

/// Marks the pod. Where that is refused the worker serves all the same, and it is tried again later.
pub async fn mark(context: &Context, sight: &mut Sight, mark: Mark) -> Result<Progress, Error> {
    let key = sight.snapshot.key().clone();
    let Some(mut pod) = sight.pod.clone() else { return Ok(Progress::Rest) };
    match context.children.mark_pod(&key, &pod, mark).await {
        Ok(Some(marked)) => {
            let version = version_of(&marked.metadata);
            context.caches.made.marked(&key.uid, &marked, version, mark);
            sight.set_pod(Some(marked));
        }
        // The watch tells what became of it.
        Ok(None) => return Ok(Progress::Rest),
        Err(error) if matches!(error.class(), ErrorClass::Forbidden | ErrorClass::Invalid) => {
            let error = crate::text::chain(&error);
            tracing::warn!(worker = %key, error, "its pod is not marked: it may be evicted though busy, or kept though idle");
            context.caches.made.marked(&key.uid, &pod, None, mark);
            marks::put_on(&mut pod.metadata, mark);
            sight.set_pod(Some(pod));
        }
        Err(error) => return Err(error),
    }
    Ok(Progress::Again)
}
