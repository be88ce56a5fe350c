//! What is left at the end of a run, without what a crash may change: times, ids, owner and epoch.

use anyhow::Result;
use duckworker_api::DuckWorker;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::TestNamespace;

/// What is left, as comparable JSON.
pub async fn ending(ns: &TestNamespace<'_>) -> Result<Value> {
    let all = ListParams::default();
    let workers = ns.api::<DuckWorker>().list(&all).await?;
    let pods = ns.api::<Pod>().list(&all).await?;
    let secrets = ns.api::<Secret>().list(&all).await?;
    Ok(json!({
        "workers": workers.iter().map(worker).collect::<Vec<_>>(),
        "pods": pods.iter().map(pod).collect::<Vec<_>>(),
        "secrets": secrets.iter().map(secret).collect::<Vec<_>>(),
    }))
}

fn worker(worker: &DuckWorker) -> Value {
    let Some(status) = &worker.status else { return Value::Null };
    let conditions = status.conditions.iter().map(|c| json!([c.type_, c.status, c.reason]));
    json!({
        "state": status.state,
        "tenant": status.tenant,
        "claim": status.claim.is_some(),
        "pod": status.pod.is_some(),
        "secretName": status.secret_name,
        "serverName": status.server_name.is_some(),
        "endpoint": status.endpoint.is_some(),
        "idle": status.idle_since.is_some(),
        "observedGeneration": status.observed_generation,
        "conditions": conditions.collect::<Vec<_>>(),
        "finalizers": worker.metadata.finalizers,
        "deleting": worker.metadata.deletion_timestamp.is_some(),
    })
}

fn pod(pod: &Pod) -> Value {
    json!({
        "name": pod.metadata.name,
        "stops": pod.metadata.deletion_timestamp.is_some(),
        "owners": pod.metadata.owner_references.as_ref().map(Vec::len),
    })
}

/// Its keys only: the values are secret.
fn secret(secret: &Secret) -> Value {
    json!({
        "name": secret.metadata.name,
        "immutable": secret.immutable,
        "keys": secret.data.as_ref().map(|data| data.keys().collect::<Vec<_>>()),
    })
}
