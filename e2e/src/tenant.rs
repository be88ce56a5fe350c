//! Tenants in tests: manifests.

use serde_json::{Value, json};

/// A tenant with this spec.
pub fn tenant(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "duckworker.dev/v1alpha1",
        "kind": "DuckTenant",
        "metadata": { "name": name },
        "spec": spec,
    })
}
