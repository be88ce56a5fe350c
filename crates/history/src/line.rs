//! What a history is made of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The collection of workers.
pub const WORKERS: &str = "duckworkers.duckworker.dev";
/// The collection of pools.
pub const POOLS: &str = "duckworkerpools.duckworker.dev";
/// The collection of claims.
pub const CLAIMS: &str = "duckworkerclaims.duckworker.dev";
/// The collection of tenants.
pub const TENANTS: &str = "ducktenants.duckworker.dev";
/// The collection of pods.
pub const PODS: &str = "pods";
/// The collection of secrets.
pub const SECRETS: &str = "secrets";
/// The collection of Leases.
pub const LEASES: &str = "leases.coordination.k8s.io";

/// One line of a recorded history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A version of an object. These stand in the order of their revisions.
    Version(Version),
    /// What a client says of one try. It may stand anywhere after the versions that it speaks of.
    Operation(Operation),
}

/// One version of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The revision: the object's resourceVersion, or that of its deletion.
    pub revision: u64,
    /// When it was written; for a watch, when it was seen.
    pub at: Timestamp,
    /// What made it.
    pub change: Change,
    /// `pods`, `duckworkers.duckworker.dev`.
    pub collection: String,
    /// Who wrote it, where that is known: `<user>`, or `<user>/<pod>.<first 8 of its uid>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The object; of a deleted one the last version.
    pub object: Value,
}

/// What made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The object is new.
    Created,
    /// It was changed.
    Updated,
    /// It is gone.
    Deleted,
}

/// One try of a client, as it saw it end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Who tried.
    pub owner: String,
    /// The uid of the worker.
    pub worker: String,
    /// The name of the transition.
    pub transition: String,
    /// The tenant that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The epoch that its right named: its lease's, or that of what it had seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The ids of its writes that it takes for proven never to land.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refuted: Vec<String>,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It happened, by the write of this id.
    Won(String),
    /// It did not.
    Missed(String),
    /// Nobody knows.
    Unknown,
}

/// `duckworker_api`'s names for objects: namespace and name.
pub fn name_of(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    match text("namespace") {
        "" => text("name").to_owned(),
        namespace => format!("{namespace}/{}", text("name")),
    }
}

/// The uid of an object.
pub fn uid_of(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// The uid of the pool that a worker belongs to.
pub fn pool_of(worker: &Value) -> Option<&str> {
    let mut owners = worker["metadata"]["ownerReferences"].as_array()?.iter();
    owners.find(|owner| owner["kind"] == "DuckWorkerPool")?["uid"].as_str()
}
