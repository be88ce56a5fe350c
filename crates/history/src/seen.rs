//! Objects, as far as the rules read them.

use std::time::Duration;

use duckworker_api::labels;
use duckworker_core::{OwnerStanding, TransitionName, WorkerState};
use jiff::Timestamp;
use serde_json::Value;

/// A worker at one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Namespace and name.
    pub name: String,
    /// Its state; none if it is none that we know.
    pub state: Option<WorkerState>,
    /// Its owner.
    pub owner: Option<String>,
    /// Its epoch; zero before the first owner.
    pub epoch: i64,
    /// Its tenant.
    pub tenant: Option<String>,
    /// The uid of its claim.
    pub claim: Option<String>,
    /// How many writes its status had.
    pub seq: i64,
    /// The newest ids of them.
    pub ids: Vec<String>,
    /// The newest recorded transition.
    pub newest: Option<Record>,
    /// Since when it is in its state.
    pub state_since: Option<Timestamp>,
    /// Since when nobody uses it, as written.
    pub idle_since: Option<String>,
    /// The uid of the pod that is recorded.
    pub pod: Option<String>,
    /// When it was told to go.
    pub deletion: Option<Timestamp>,
    /// Our finalizer is on it.
    pub finalizer: bool,
    /// A dedicated worker's tenant.
    pub dedicated: bool,
    /// From Spawning until Idle.
    pub startup: Duration,
    /// From Reserved until Hot, in each of the two states.
    pub activation: Duration,
    /// From Draining until the pod is gone.
    pub drain: Duration,
    /// Its status as it stands.
    pub status: Value,
}

/// A recorded transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which; none if it is none of ours.
    pub name: Option<TransitionName>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// As it stands.
    pub text: String,
}

impl Worker {
    /// Reads one.
    pub fn of(object: &Value) -> Self {
        let (status, spec, meta) = (&object["status"], &object["spec"], &object["metadata"]);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let seconds =
            |field: &str, default| Duration::from_secs(spec[field].as_u64().unwrap_or(default));
        let ids = status["writes"]["ids"].as_array().into_iter().flatten();
        let finalizers = meta["finalizers"].as_array().into_iter().flatten();
        Self {
            name: crate::line::name_of(object),
            state: status["state"].as_str().unwrap_or("Pending").parse().ok(),
            owner: text(&status["owner"]),
            epoch: status["ownerEpoch"].as_i64().unwrap_or(0),
            tenant: text(&status["tenant"]),
            claim: text(&status["claim"]["uid"]),
            seq: status["writes"]["seq"].as_i64().unwrap_or(0),
            ids: ids.filter_map(text).collect(),
            newest: Record::of(&status["transitions"][0]),
            state_since: time(&status["stateSince"]),
            idle_since: text(&status["idleSince"]),
            pod: text(&status["pod"]["uid"]),
            deletion: time(&meta["deletionTimestamp"]),
            finalizer: finalizers.into_iter().any(|f| f == labels::FINALIZER),
            dedicated: spec["tenant"].is_string(),
            startup: seconds("startupTimeoutSeconds", 300),
            activation: seconds("activationTimeoutSeconds", 300),
            drain: seconds("drainTimeoutSeconds", 900),
            status: status.clone(),
        }
    }

    /// From here on its pod and its secret may be deleted.
    pub fn may_lose_children(&self) -> bool {
        self.state.is_none_or(WorkerState::is_condemned) || self.deletion.is_some()
    }

    /// It may have a pod and a secret.
    pub fn is_active(&self) -> bool {
        self.state.is_some_and(WorkerState::is_active)
    }

    /// It outlives its owner: nothing of it lives in that owner's process.
    pub fn is_adoptable(&self) -> bool {
        self.tenant.is_none()
            || self.claim.is_some()
            || self.dedicated
            || matches!(self.state, Some(WorkerState::HotIdle | WorkerState::Draining))
    }

    /// How long it may stay in its state by what its owner was told; none for states that last.
    pub fn patience(&self) -> Option<Duration> {
        match self.state? {
            WorkerState::Spawning => Some(self.startup),
            WorkerState::Reserved | WorkerState::Activating => Some(self.activation),
            WorkerState::Draining => Some(self.drain),
            _ => None,
        }
    }
}

impl Record {
    fn of(value: &Value) -> Option<Self> {
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        Some(Self {
            name: text("name")?.parse().ok(),
            by: text("by").unwrap_or_default(),
            reason: text("reason"),
            text: value.to_string(),
        })
    }
}

/// The state that a Lease of an instance shows; none for other Leases.
pub fn instance_state(lease: &Value) -> Option<OwnerStanding> {
    let labels = &lease["metadata"]["labels"];
    if labels[labels::COMPONENT] != labels::CONTROL_PLANE {
        return None;
    }
    Some(match labels[labels::INSTANCE_STATE].as_str() {
        Some("draining") => OwnerStanding::Draining,
        Some("expired") => OwnerStanding::Expired,
        _ => OwnerStanding::Live,
    })
}

/// Whose Lease it is.
pub fn holder(lease: &Value) -> Option<&str> {
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty())
}

/// The uid of the worker that a pod or a secret bears in its label.
pub fn made_for(child: &Value) -> Option<&str> {
    child["metadata"]["labels"][labels::WORKER_UID].as_str().filter(|uid| !uid.is_empty())
}

/// An environment entry of a pod's container `duckdb`.
pub fn variable<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    let containers = pod["spec"]["containers"].as_array()?;
    let duckdb = containers.iter().find(|c| c["name"] == labels::DUCKDB_CONTAINER)?;
    let entry = duckdb["env"].as_array()?.iter().find(|entry| entry["name"] == name)?;
    entry["value"].as_str()
}

/// It was told to go.
pub fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Its containers have ended, or were told to.
pub fn has_ended(pod: &Value) -> bool {
    is_deleting(pod) || matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
}

/// Whether the writer `<user>/<pod>.<uid8>` or `<user>` may be this owner. None: nobody can tell.
pub fn is_by(by: Option<&str>, owner: &str) -> Option<bool> {
    let by = by?;
    Some(match by.split_once('/') {
        Some((_, pod)) => owner.strip_prefix(pod).is_some_and(|rest| rest.starts_with('.')),
        None => owner.strip_prefix("user:").is_some_and(|rest| {
            rest.strip_prefix(by).is_some_and(|incarnation| incarnation.starts_with(':'))
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_known_by_its_pod_or_its_name() {
        assert_eq!(is_by(None, "a.1.x"), None);
        assert_eq!(is_by(Some("sa/pod-1.12345678"), "pod-1.12345678.x"), Some(true));
        assert_eq!(is_by(Some("sa/pod-1.12345678"), "pod-1.123456789.x"), Some(false));
        assert_eq!(is_by(Some("bob"), "user:bob:x"), Some(true));
        assert_eq!(is_by(Some("bob"), "user:bobby:x"), Some(false));
    }
}
