//! What the controller writes. Times are in the API server's time.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::worker::Foreign;

/// How far a claim has come. Written only by the controller.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuckWorkerClaimStatus {
    /// Pending: waits for a worker. Bound: has one, which is being activated. Ready: can be used.
    /// Lost: its worker is gone, and it wanted no other. Failed: none came in time.
    #[schemars(length(min = 1, max = 16))]
    pub phase: String,

    /// The worker that it got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<BoundWorker>,

    /// Where that came from: Warm, HotIdle or Cold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub source: Option<String>,

    /// Where to connect to: host and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub endpoint: Option<String>,

    /// The name that the worker's certificate bears: verify it instead of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub server_name: Option<String>,

    /// The secret with all that a client needs: token, certificate, server name, endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub connection_secret_name: Option<String>,

    /// When it last became Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,

    /// The generation of the spec that this status was written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, and why not; Stalled, when it will never be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// What a newer version wrote.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: Foreign,
}

/// The worker of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BoundWorker {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its uid.
    #[schemars(length(min = 1, max = 63))]
    pub uid: String,
    /// Its epoch when it was bound.
    #[schemars(range(min = 0))]
    pub owner_epoch: i64,
}
