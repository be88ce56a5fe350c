//! The Event that the end of a worker deserves.

use duckworker_core::conditions::{self, ConditionType};
use duckworker_core::{Reason, Worker};

use crate::observe::EventReason;

/// How a worker came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It never came to serve.
    Abandoned,
    /// It ran and is gone.
    Lost,
    /// It finishes its sessions and exits.
    Drained,
}

impl Ending {
    /// The Event about it, with what is known besides the reason, or else what its conditions say;
    /// none for what somebody asked for.
    pub fn event(
        self,
        reason: Reason,
        worker: &Worker,
        detail: Option<&str>,
    ) -> Option<(EventReason, String)> {
        let sentence = sentence(reason)?;
        let event = match self {
            Self::Abandoned => EventReason::WorkerAbandoned,
            Self::Lost => EventReason::WorkerLost,
            Self::Drained if reason == Reason::SecretLost => EventReason::SecretLost,
            Self::Drained => EventReason::WorkerDrained,
        };
        let conditions = &worker.status.conditions;
        let in_the_way = [ConditionType::PodBlocked, ConditionType::NameConflict]
            .into_iter()
            .find_map(|kind| conditions::find(conditions, kind))
            .map(|condition| condition.message.as_str());
        let detail = detail.or(in_the_way);
        let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
        Some((event, format!("{sentence}{detail}")))
    }
}

const fn sentence(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::ImagePullFailed => "its image could not be pulled",
        Reason::Unschedulable => "no node had room for its pod",
        Reason::QuotaExceeded => "a quota refused its pod",
        Reason::PodRefused => "its pod was refused",
        Reason::NameConflict => "a pod or a secret of its name is somebody else's",
        Reason::ContainerConfigError => "its container could not be created",
        Reason::StartupTimeout => "it was not ready in time",
        Reason::Crashed => "its process ended by itself",
        Reason::OutOfMemory => "it was killed for its memory",
        Reason::Evicted => "its pod was evicted",
        Reason::PodGone => "its pod is gone",
        Reason::PodDeleted => "its pod was deleted by somebody else",
        Reason::Unhealthy => "its health check failed",
        Reason::Broken => "it said that it will not be well again",
        Reason::NodeLost => "its node is gone",
        Reason::ActivationFailed => "its activation failed",
        Reason::ActivationTimeout => "its activation took too long",
        Reason::SecretLost => "its secret was deleted or replaced; it gets no new one",
        Reason::Stuck => "it stood too long in one state",
        Reason::Orphaned => "its owner died and its sessions with it",
        Reason::TenantDeleted => {
            "its DuckTenant is gone, and its pool serves declared tenants only"
        }
        Reason::NodeCordoned
        | Reason::Deleted
        | Reason::Requested
        | Reason::Released
        | Reason::Displaced
        | Reason::Shutdown
        | Reason::HotIdleExpired
        | Reason::OutOfDate
        | Reason::ScaledDown => return None,
    })
}
