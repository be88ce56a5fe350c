//! What becomes of entries whose claimers died.

use std::time::Duration;

use anyhow::{Result, ensure};
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool, labels};
use duckworker_e2e::claim::{claim, is, waits_for};
use duckworker_e2e::plane::Plane;
use duckworker_e2e::pool::{await_count, pool};
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_faults::Fault;
use duckworker_faults::Verb;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{capped, uses};

/// An instance that never was, and so is dead.
const DEAD: &str = "user:nobody:00000000";

#[tokio::test]
async fn an_entry_that_its_author_left_open_is_closed_and_its_place_given_on() -> Result<()> {
    scenario("ledger-open", async |ns| {
        ns.create::<DuckTenant>(capped("acme", 1)).await?;
        let plane = Plane::register(ns, Duration::from_secs(5)).await?;
        let idle = plane.idle("w").await?;
        // As an instance leaves it that dies between the entry and the claim.
        let entry = json!({
            "workerUid": idle.key().uid.as_str(), "worker": "w", "by": DEAD,
            "baseVersion": idle.version().as_str(), "at": "2026-01-01T00:00:00Z",
        });
        let status = Patch::Merge(json!({ "status": { "ledger": [entry], "used": 1 } }));
        #[allow(clippy::disallowed_methods, reason = "it plays an instance that died")]
        ns.api::<DuckTenant>().patch_status("acme", &PatchParams::default(), &status).await?;
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 1, 9)).await?;
        await_count(ns, "p", "Idle", 1).await?;
        ns.create::<DuckWorkerClaim>(claim("c", "p", "acme")).await?;
        ns.await_object::<DuckWorkerClaim>("c", "Ready", is("Ready")).await?;
        // The late claim, were it to come now, would land on nothing.
        let moved: DuckWorker = ns.api().get("w").await?;
        let marks = moved.metadata.annotations.clone().unwrap_or_default();
        ensure!(marks.contains_key(labels::MOVED_ON), "{:?} {:?}", moved.metadata, moved.status);
        ns.await_object::<DuckTenant>("acme", "holding one", uses(1)).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ledger_write_whose_answer_was_lost_is_no_second_entry() -> Result<()> {
    scenario("ledger-lost", async |ns| {
        ns.create::<DuckTenant>(capped("acme", 1)).await?;
        let plane = Plane::registered_counting(ns, Duration::from_secs(2), |call| {
            call.is(Verb::Update, "ducktenants/status")
        })
        .await?;
        let idle = plane.idle("w").await?;
        plane.suffers([Fault::LoseAnswer]);
        let lease = plane.claim(&idle).await?;
        ensure!(matches!(lease, duckworker_client::Outcome::Transitioned(_)), "{lease:?}");
        ns.await_object::<DuckTenant>("acme", "holding one", uses(1)).await?;
        let other = plane.idle("v").await?;
        let full = plane.claim(&other).await?;
        ensure!(matches!(
            full,
            duckworker_client::Outcome::Missed(duckworker_core::Miss::Capacity)
        ));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_claim_goes_on_when_somebody_edits_its_worker_meanwhile() -> Result<()> {
    scenario("ledger-moved", async |ns| {
        ns.create::<DuckTenant>(capped("acme", 1)).await?;
        let plane = Plane::register(ns, Duration::from_secs(5)).await?;
        let idle = plane.idle("w").await?;
        // The plane knows the version from before.
        let label = Patch::Merge(json!({ "metadata": { "labels": { "a": "person" } } }));
        ns.api::<DuckWorker>().patch("w", &PatchParams::default(), &label).await?;
        let lease = plane.claim(&idle).await?;
        ensure!(matches!(lease, duckworker_client::Outcome::Transitioned(_)), "{lease:?}");
        let tenant: DuckTenant = ns.await_object("acme", "holding one", uses(1)).await?;
        let ledger = tenant.status.map(|status| status.ledger).unwrap_or_default();
        ensure!(
            ledger.len() == 1 && ledger[0].base_version != idle.version().as_str(),
            "{ledger:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_claim_of_the_library_is_refused_at_the_cap() -> Result<()> {
    scenario("ledger-library", async |ns| {
        ns.create::<DuckTenant>(capped("acme", 1)).await?;
        let plane = Plane::register(ns, Duration::from_secs(5)).await?;
        let (first, second) = (plane.idle("w").await?, plane.idle("v").await?);
        let _lease = plane.claim(&first).await?;
        let full = plane.claim(&second).await?;
        ensure!(matches!(
            full,
            duckworker_client::Outcome::Missed(duckworker_core::Miss::Capacity)
        ));
        let waits = waits_for("TenantAtCap");
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 1, 9)).await?;
        ns.create::<DuckWorkerClaim>(claim("c", "p", "acme")).await?;
        ns.await_object::<DuckWorkerClaim>("c", "waiting", waits).await?;
        Ok(())
    })
    .await
}
