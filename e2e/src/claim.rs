//! Claims in tests: manifests, and what is awaited of them.

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorkerClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};

use crate::TestNamespace;

/// A claim of a tenant for a worker of a pool.
pub fn claim(name: &str, pool: &str, tenant: &str) -> Value {
    json!({
        "apiVersion": "duckworker.dev/v1alpha1",
        "kind": "DuckWorkerClaim",
        "metadata": { "name": name },
        "spec": { "poolName": pool, "tenant": tenant },
    })
}

/// How far it has come.
pub fn phase(claim: &DuckWorkerClaim) -> &str {
    claim.status.as_ref().map_or("Pending", |status| &status.phase)
}

/// A predicate: it has come so far.
pub fn is(wanted: &'static str) -> impl Fn(&DuckWorkerClaim) -> bool {
    move |claim| phase(claim) == wanted
}

/// One of its conditions.
pub fn condition<'a>(claim: &'a DuckWorkerClaim, kind: &str) -> Option<&'a Condition> {
    claim.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// A predicate: it waits, for this reason.
pub fn waits_for(reason: &'static str) -> impl Fn(&DuckWorkerClaim) -> bool {
    move |claim| {
        phase(claim) == "Pending" && condition(claim, "Ready").is_some_and(|c| c.reason == reason)
    }
}

/// Creates a claim and waits until it is Ready.
///
/// # Errors
/// When it does not get there.
pub async fn bind(ns: &TestNamespace<'_>, manifest: Value) -> Result<DuckWorkerClaim> {
    let name = manifest["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    ns.create::<DuckWorkerClaim>(manifest).await?;
    ns.await_object(&name, "Ready", is("Ready")).await
}

/// The name of its worker.
///
/// # Errors
/// When it has none.
pub fn worker_of(claim: &DuckWorkerClaim) -> Result<&str> {
    let worker = claim.status.as_ref().and_then(|status| status.worker.as_ref());
    Ok(&worker.context("the claim has no worker")?.name)
}

/// Where its worker came from.
pub fn source(claim: &DuckWorkerClaim) -> &str {
    let source = claim.status.as_ref().and_then(|status| status.source.as_deref());
    source.unwrap_or_default()
}
