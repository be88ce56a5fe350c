//! What a user writes.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::DuckWorkerClaimStatus;

/// A tenant's wish for one worker of a pool, as a PersistentVolumeClaim is one for a volume. The
/// worker is the claim's until the claim is deleted.
#[derive(CustomResource, Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "duckworker.dev",
    version = "v1alpha1",
    kind = "DuckWorkerClaim",
    plural = "duckworkerclaims",
    singular = "duckworkerclaim",
    shortname = "dwc",
    category = "duck",
    namespaced,
    status = "DuckWorkerClaimStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase","description":"how far it has come"}"#,
    printcolumn = r#"{"name":"Tenant","type":"string","jsonPath":".spec.tenant","description":"for whom"}"#,
    printcolumn = r#"{"name":"Worker","type":"string","jsonPath":".status.worker.name","description":"the worker that it got"}"#,
    printcolumn = r#"{"name":"Source","type":"string","jsonPath":".status.source","description":"where that came from"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Pool","type":"string","jsonPath":".spec.poolName","priority":1,"description":"of which pool"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason","priority":1,"description":"why it waits"}"#,
    printcolumn = r#"{"name":"Endpoint","type":"string","jsonPath":".status.endpoint","priority":1,"description":"where to connect to"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DuckWorkerClaimSpec {
    /// The pool, in the claim's namespace. The claim waits if there is none of that name yet.
    #[schemars(length(min = 1, max = 38))]
    pub pool_name: String,

    /// The tenant that the worker shall serve. A DNS label.
    #[schemars(length(min = 1, max = 63))]
    pub tenant: String,

    /// How long it may wait for a worker, in seconds; then it is Failed for good. For ever if
    /// unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_seconds: Option<i64>,

    /// What becomes of the claim when its worker is lost.
    #[serde(default)]
    pub on_worker_loss: OnWorkerLoss,
}

/// What becomes of a claim when its worker is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnWorkerLoss {
    /// It gets another one.
    #[default]
    Rebind,
    /// It is Lost for good.
    Fail,
}
