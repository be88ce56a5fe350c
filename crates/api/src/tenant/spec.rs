//! What a user writes.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::DuckTenantStatus;

/// The most workers that a cap may allow: the ledger of so many still fits into one object.
pub const MAX_WORKERS: i64 = 2000;

/// What a tenant may have. Its name is the `tenant` of workers and claims in its namespace.
#[derive(CustomResource, Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "duckworker.dev",
    version = "v1alpha1",
    kind = "DuckTenant",
    plural = "ducktenants",
    singular = "ducktenant",
    shortname = "dt",
    category = "duck",
    namespaced,
    status = "DuckTenantStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn = r#"{"name":"Used","type":"integer","jsonPath":".status.used","description":"how many workers it holds"}"#,
    printcolumn = r#"{"name":"Max","type":"integer","jsonPath":".spec.maxWorkers","description":"how many it may hold"}"#,
    printcolumn = r#"{"name":"Secret","type":"string","jsonPath":".spec.activationSecretRef.name","description":"what its workers are activated with"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Image","type":"string","jsonPath":".spec.image","priority":1,"description":"the version that it is pinned to"}"#,
    printcolumn = r#"{"name":"Idle-TTL","type":"integer","jsonPath":".spec.hotIdle.ttlSeconds","priority":1,"description":"how long a parked worker waits for it, in seconds"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DuckTenantSpec {
    /// The secret with what a worker is told when it is activated for this tenant: credentials,
    /// catalogs, limits. Its members are handed on as they are. When it changes, the tenant's
    /// workers get the new one with their next refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_secret_ref: Option<SecretReference>,

    /// How many workers it may hold at once, parked ones included. No cap if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_WORKERS))]
    pub max_workers: Option<i64>,

    /// What a pool says of parked workers, otherwise for this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_idle: Option<HotIdleOverrides>,

    /// The version that it is pinned to: the image of the container `duckdb`. Any if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\s]+$"))]
    pub image: Option<String>,
}

/// A secret in the namespace of who names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
}

/// What a pool says of parked workers, otherwise for one tenant. What is unset is the pool's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HotIdleOverrides {
    /// How long a parked worker waits for the tenant to come back, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub ttl_seconds: Option<i64>,

    /// How many parked workers stay, however long they wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_WORKERS))]
    pub min_per_tenant: Option<i64>,

    /// How many parked workers there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_WORKERS))]
    pub max_per_tenant: Option<i64>,
}
