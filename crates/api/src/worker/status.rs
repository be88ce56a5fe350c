//! What the owners write. Times are in the API server's time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fields that a newer version wrote: kept as they are by every write of ours.
pub type Foreign = BTreeMap<String, serde_json::Value>;

/// Who owns a worker and where it stands. Written only by control-plane instances, one
/// compare-and-swap a transition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuckWorkerStatus {
    /// Where the worker stands in its life: Pending, Spawning, Idle, Reserved, Activating, Hot,
    /// HotIdle, Draining, Retired or Lost.
    #[schemars(length(min = 1, max = 32))]
    pub state: String,

    /// The control-plane instance that looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub owner: Option<String>,

    /// How often its ownership was handed out: the fence that a stale owner cannot pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub owner_epoch: Option<i64>,

    /// The tenant that it is assigned to. Set once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub tenant: Option<String>,

    /// The claim that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimReference>,

    /// The newest writes of this status, by which a writer knows its own again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<WriteLog>,

    /// The newest five changes of state or owner, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub transitions: Vec<TransitionEntry>,

    /// Since when it is in its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_since: Option<Timestamp>,

    /// Since when nobody uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Timestamp>,

    /// Its pod. It has one at most, ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodReference>,

    /// The secret with its bearer token and its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,

    /// Where clients connect to: host and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub endpoint: Option<String>,

    /// The name that its certificate bears; clients verify it instead of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub server_name: Option<String>,

    /// When the tenant's credentials in it expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_expire_at: Option<Timestamp>,

    /// The generation of the spec that this status was written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, and what is in its way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// What a newer version wrote.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: Foreign,
}

/// A claim, by name and uid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimReference {
    /// The name of the DuckWorkerClaim, in the worker's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its uid.
    #[schemars(length(min = 1, max = 63))]
    pub uid: String,
    /// What a newer version wrote.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: Foreign,
}

/// A pod, by name and uid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its uid, by which alone it is deleted.
    #[schemars(length(min = 1, max = 63))]
    pub uid: String,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub ip: Option<String>,
    /// What a newer version wrote.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: Foreign,
}

/// The newest writes of a status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WriteLog {
    /// How many writes there were.
    #[schemars(range(min = 0))]
    pub seq: i64,
    /// The ids of the newest five, newest first.
    #[schemars(length(max = 5), inner(length(min = 8, max = 36)))]
    pub ids: Vec<String>,
    /// What a newer version wrote.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: Foreign,
}

/// One change of state or owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransitionEntry {
    /// Which transition.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub reason: Option<String>,
    /// The instance that did it.
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
    /// The epoch after it.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// When.
    pub at: Timestamp,
    /// What a newer version wrote.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: Foreign,
}
