//! Workers that really are DuckDB, in tests: manifests, and the tenants that they serve.

use anyhow::Result;
use duckworker_api::DuckTenant;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::images;
use crate::{namespace::TestNamespace, pool};

/// Makes the image of real DuckDB workers known to the node.
///
/// # Errors
/// When it cannot be made.
pub async fn load(ns: &TestNamespace<'_>) -> Result<()> {
    ns.cluster.real_node()?.load(&images::worker().await?).await.map(drop)
}

/// The spec of a worker.
pub fn spec() -> Value {
    json!({
        "healthCheck": { "periodSeconds": 1, "timeoutSeconds": 2 },
        "drainTimeoutSeconds": 10,
        "template": { "spec": {
            "containers": [{
                "name": "duckdb", "image": images::WORKER,
                // Several fit on a node of two processors.
                "resources": {
                    "requests": { "cpu": "250m" },
                    "limits": { "memory": "512Mi", "cpu": "1" },
                },
                "securityContext": { "readOnlyRootFilesystem": true },
                "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
            }],
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
        } },
    })
}

/// A dedicated worker of this tenant.
pub fn dedicated(name: &str, tenant: &str) -> Value {
    let mut spec = spec();
    spec["tenant"] = json!(tenant);
    json!({ "metadata": { "name": name }, "spec": spec })
}

/// A pool of such workers.
pub fn pool(name: &str, replicas: i64, max_workers: i64) -> Value {
    let mut pool = pool::pool(name, replicas, max_workers);
    pool["spec"]["template"]["spec"] = spec();
    pool
}

/// Makes a tenant whose workers run these statements.
///
/// # Errors
/// When the API server refuses.
pub async fn tenant(ns: &TestNamespace<'_>, name: &str, statements: &str) -> Result<()> {
    let secret = format!("{name}-activation");
    let data = json!({ "statements": statements });
    ns.create::<Secret>(json!({ "metadata": { "name": secret }, "stringData": data })).await?;
    let spec = json!({ "activationSecretRef": { "name": secret } });
    ns.create::<DuckTenant>(json!({ "metadata": { "name": name }, "spec": spec })).await?;
    Ok(())
}
