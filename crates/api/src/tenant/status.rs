//! What those write who claim for the tenant. Times are in the API server's time.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::MAX_WORKERS;
use crate::worker::Foreign;

/// Which workers the tenant holds, where a cap makes that count.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuckTenantStatus {
    /// The workers that it holds or is about to: an entry stands here before its worker is
    /// claimed, and goes when that claim can no longer land or its worker is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_WORKERS), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["workerUid"]))]
    pub ledger: Vec<HeldWorker>,

    /// How many those are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub used: Option<i64>,

    /// The generation of the spec that this status was written for. A cap holds for claims begun
    /// after it shows here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// What is in the tenant's way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// What a newer version wrote.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: Foreign,
}

/// One worker that a tenant holds or is about to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldWorker {
    /// Its uid.
    #[schemars(length(min = 1, max = 63))]
    pub worker_uid: String,
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub worker: String,
    /// The version of it that the claim is based on: once the worker has moved past it without
    /// being the tenant's, the claim can no longer land.
    #[schemars(length(min = 1, max = 32))]
    pub base_version: String,
    /// The instance that claims it.
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
    /// Since when it stands here.
    pub at: Timestamp,
    /// What a newer version wrote.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: Foreign,
}
