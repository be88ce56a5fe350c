//! The embedded cluster and its harness keep their promises: whatever other tests build on.

mod access;
mod faults;
mod garbage;
mod leftovers;
mod namespaces;
mod simulation;

use serde_json::{Value, json};

/// A pod with one container, and annotations that steer its simulation.
fn pod(name: &str, annotations: &[(&str, &str)]) -> Value {
    let annotations: Value =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"containers": [{"name": "duckdb", "image": "duckdb:test"}]},
    })
}
