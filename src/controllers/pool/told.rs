//! The Events that a change of a pool's status deserves: starts that fail, a rollout that failed.

use duckworker_api::{DuckWorkerPool, GROUP, VERSION};
use duckworker_core::conditions::{Condition, ConditionStatus};
use duckworker_core::plan::pool::report::PoolCondition;
use duckworker_core::pool::Pool;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;

use super::context::Context;
use crate::observe::EventReason;

/// Tells of what has become true.
pub fn tell(context: &Context, before: &Pool, after: &Pool) {
    for (kind, event) in [
        (PoolCondition::Degraded, EventReason::WorkersFail),
        (PoolCondition::Stalled, EventReason::RolloutFailed),
    ] {
        if let Some(news) = holds(after, kind)
            && holds(before, kind).is_none_or(|old| old.reason != news.reason)
        {
            let message = format!("{}: {}", news.reason, news.message);
            context.observer.event_about(regarding(after), event, &message);
        }
    }
}

fn holds(pool: &Pool, kind: PoolCondition) -> Option<&Condition> {
    let kind: &str = kind.into();
    let found = pool.status.conditions.iter().find(|condition| condition.kind == kind)?;
    (found.status == ConditionStatus::True).then_some(found)
}

fn regarding(pool: &Pool) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{GROUP}/{VERSION}")),
        kind: Some(DuckWorkerPool::kind(&()).into_owned()),
        namespace: Some(pool.key.namespace.clone()),
        name: Some(pool.key.name.clone()),
        uid: Some(pool.key.uid.to_string()),
        ..ObjectReference::default()
    }
}
