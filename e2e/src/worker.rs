//! Workers in tests: manifests and what is awaited of them.

use anyhow::Result;
use duckworker_api::DuckWorker;
use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};

use crate::TestNamespace;

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

/// Gives a worker as many labels as etcd takes, and tells how many it tried: `filler` names them.
pub async fn fill(ns: &TestNamespace<'_>, name: &str) -> Result<usize> {
    let api = ns.api::<DuckWorker>();
    let mut number = 0_usize;
    for (batch, length) in [(5000, 63), (500, 63), (50, 63), (5, 63), (1, 63), (1, 1)] {
        loop {
            let labels: Map<String, Value> =
                (number..number + batch).map(|n| (filler(n), json!("x".repeat(length)))).collect();
            number += batch;
            let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
            match api.patch(name, &PatchParams::default(), &patch).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 500 => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(number)
}

/// The name of a label that [`fill`] puts on.
pub fn filler(number: usize) -> String {
    format!("filled-{number:0>50}")
}
