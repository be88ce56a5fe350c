//! What the controller writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::worker::Foreign;

/// How a pool stands. Written only by the controller.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuckWorkerPoolStatus {
    /// The generation of the spec that this status was written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// How many workers are warm: idle, or on the way there. What `spec.replicas` compares with.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub replicas: i64,

    /// How many idle workers are of the present template.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub updated_replicas: i64,

    /// Selects the pods of the pool, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub selector: Option<String>,

    /// How many workers there are, by state.
    #[serde(default)]
    pub workers: WorkerCounts,

    /// The numbers that workers were given: a worker is started only if its uid stands here.
    #[serde(default)]
    pub ordinals: Ordinals,

    /// Ready, Available, Progressing, Degraded, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// What a newer version wrote.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: Foreign,
}

/// How many workers a pool has, by state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerCounts {
    /// On the way to Idle: pending and spawning ones.
    pub starting: i64,
    /// Serving a tenant, or about to: reserved, activating and hot ones.
    pub claimed: i64,
    /// Not taken by a controller yet.
    pub pending: i64,
    /// Being started.
    pub spawning: i64,
    /// Free for any tenant.
    pub idle: i64,
    /// Assigned to a tenant, not activated yet.
    pub reserved: i64,
    /// Being activated for their tenant.
    pub activating: i64,
    /// Serving their tenant.
    pub hot: i64,
    /// Parked for their tenant.
    pub hot_idle: i64,
    /// Finishing their sessions.
    pub draining: i64,
}

/// The numbers that workers were given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Ordinals {
    /// The number that the next worker gets. Never falls, so that no number is given twice.
    #[schemars(range(min = 0))]
    pub next: i64,
    /// Those of workers that live or may come to live.
    #[schemars(length(max = 5000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["ordinal"]))]
    pub taken: Vec<Seat>,
}

/// A number and the worker that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    /// The number, with which the worker's name ends.
    #[schemars(range(min = 0))]
    pub ordinal: i64,
    /// The worker's uid, once it is created. Set once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub uid: Option<String>,
}
