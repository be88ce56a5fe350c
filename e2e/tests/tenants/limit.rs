//! How much a tenant may be given: no more than its ledger can bear in one object.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckTenant, DuckWorker};
use duckworker_client::Outcome;
use duckworker_core::Miss;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::plane::Plane;
use duckworker_e2e::scenario::scenario;
use duckworker_e2e::tenant::tenant;
use kube::Resource as _;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use serde_json::{Value, json};

use crate::{cap, uses};

/// The highest cap that is accepted.
const MOST: i64 = 2000;
/// What etcd takes for one object by default.
const STORED: usize = 1_572_864;

/// An entry with every text as long as its schema allows.
fn longest(number: i64) -> Value {
    let long = |length: usize| format!("{number:0>length$}");
    json!({
        "workerUid": long(63), "worker": long(63), "baseVersion": long(32), "by": long(253),
        "at": "2026-01-01T00:00:00.000000001Z",
    })
}

/// Writes a ledger, as whoever claims may.
async fn write(ns: &TestNamespace<'_>, entries: i64) -> Result<(), kube::Error> {
    let ledger: Vec<Value> = (0..entries).map(longest).collect();
    let status = json!({ "status": { "ledger": ledger, "used": entries } });
    #[allow(clippy::disallowed_methods, reason = "it plays two thousand claims")]
    let written = ns
        .api::<DuckTenant>()
        .patch_status("acme", &PatchParams::default(), &Patch::Merge(status))
        .await;
    written.map(drop)
}

/// How large a tenant is as it is stored.
async fn size(ns: &TestNamespace<'_>) -> Result<usize> {
    let path = DuckTenant::url_path(&(), Some(&ns.name));
    let read = Request::new(path).get("acme", &kube::api::GetParams::default())?;
    Ok(ns.client.request_text(read).await?.len())
}

#[tokio::test]
async fn a_cap_beyond_what_a_ledger_bears_is_refused_and_one_at_the_limit_holds() -> Result<()> {
    scenario("ledger-limit", async |ns| {
        let beyond = tenant("acme", &json!({ "maxWorkers": MOST + 1 })).to_string();
        let refusal = ns.kubectl_apply_str(&beyond).await?.refused()?;
        let sentence = "spec.maxWorkers: Invalid value: 2001: spec.maxWorkers in body should be \
                        less than or equal to 2000";
        ensure!(refusal.contains(sentence), "{refusal}");
        ns.create::<DuckTenant>(tenant("acme", &json!({ "maxWorkers": MOST }))).await?;
        let plane = Plane::register(ns, Duration::from_secs(10)).await?;
        let (last, beyond) = (plane.idle("last").await?, plane.idle("beyond").await?);
        write(ns, MOST - 1).await?;
        let lease = plane.claim(&last).await?;
        ensure!(matches!(lease, Outcome::Transitioned(_)), "{lease:?}");
        let full: DuckTenant = ns.await_object("acme", "full", uses(MOST)).await?;
        let told = full.status.context("a status")?.conditions.into_iter().next();
        let told = told.context("a condition")?.message;
        ensure!(told.contains("holds all 2000 workers"), "{told}");
        let missed = plane.claim(&beyond).await?;
        ensure!(matches!(missed, Outcome::Missed(Miss::Capacity)), "{missed:?}");
        let idle: DuckWorker = ns.api().get("beyond").await?;
        ensure!(idle.status.is_some_and(|status| status.tenant.is_none()));
        // With its managed fields and whatever else the server adds.
        let size = size(ns).await?;
        ensure!(size < STORED, "{size} bytes");
        eprintln!("a full ledger: {size} bytes");
        let refused = write(ns, MOST + 1).await.err().context("a longer ledger is stored")?;
        ensure!(refused.to_string().contains("must have at most 2000 items"), "{refused}");
        // Whoever has that many can still be told less.
        cap(ns, "acme", 1).await?;
        Ok(())
    })
    .await
}
