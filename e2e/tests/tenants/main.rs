//! Tenants on the real API server: their caps hold, whoever claims, and what they say of versions and
//! parked workers goes before what pools say.
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod caps;
mod ledger;
mod limit;
mod wishes;

use anyhow::Result;
use duckworker_api::DuckTenant;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::tenant::tenant;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// A tenant that may hold so many workers.
fn capped(name: &str, cap: i64) -> Value {
    tenant(name, &json!({ "maxWorkers": cap }))
}

/// Changes a tenant's cap.
async fn cap(ns: &TestNamespace<'_>, name: &str, cap: i64) -> Result<DuckTenant> {
    let patch = Patch::Merge(json!({ "spec": { "maxWorkers": cap } }));
    Ok(ns.api::<DuckTenant>().patch(name, &PatchParams::default(), &patch).await?)
}

/// A predicate: its ledger holds so many workers.
fn uses(number: i64) -> impl Fn(&DuckTenant) -> bool {
    move |tenant| tenant.status.as_ref().and_then(|status| status.used) == Some(number)
}

/// A predicate: its cap holds for all claims that begin from now on.
fn observed(tenant: &DuckTenant) -> bool {
    let seen = tenant.status.as_ref().and_then(|status| status.observed_generation);
    seen.is_some() && seen == tenant.metadata.generation
}

/// A predicate: it says this of its cap.
fn says(reason: &'static str) -> impl Fn(&DuckTenant) -> bool {
    move |tenant| {
        let conditions = tenant.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|c| c.type_ == "AtCap" && c.reason == reason)
    }
}
