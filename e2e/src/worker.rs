//! Workers in tests: manifests and what is awaited of them.

use duckworker_api::DuckWorker;
use serde_json::{Value, json};

/// A worker that a simulated node runs: its pod's readiness is its health.
pub fn plain(name: &str) -> Value {
    json!({
        "apiVersion": "duckworker.dev/v1alpha1",
        "kind": "DuckWorker",
        "metadata": { "name": name },
        "spec": {
            "connection": { "protocol": "None" },
            "drainTimeoutSeconds": 5,
            "template": { "spec": { "containers": [
                { "name": "duckdb", "image": "example.invalid/duckdb:1" }
            ] } }
        }
    })
}

/// The same with an annotation on its pod: how the simulated node plays it.
pub fn with_annotation(name: &str, key: &str, value: &str) -> Value {
    let mut worker = plain(name);
    worker["spec"]["template"]["metadata"] = json!({ "annotations": { key: value } });
    worker
}

/// A dedicated worker of a tenant.
pub fn dedicated(name: &str, tenant: &str) -> Value {
    let mut worker = plain(name);
    worker["spec"]["tenant"] = json!(tenant);
    worker
}

/// The state in its status.
pub fn state(worker: &DuckWorker) -> &str {
    worker.status.as_ref().map_or("Pending", |status| &status.state)
}

/// A predicate: it is in this state.
pub fn is(wanted: &'static str) -> impl Fn(&DuckWorker) -> bool {
    move |worker| state(worker) == wanted
}

/// Why it last changed.
pub fn reason(worker: &DuckWorker) -> Option<&str> {
    worker.status.as_ref()?.transitions.first()?.reason.as_deref()
}
