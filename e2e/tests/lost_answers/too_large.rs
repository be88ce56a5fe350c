//! A 500 that no patience mends: the object has grown too large for etcd.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::{Error, Origin};
use duckworker_core::Note;
use duckworker_core::conditions::{Condition, ConditionStatus, ConditionType};
use duckworker_e2e::plane::{Plane, won};
use duckworker_e2e::scenario::scenario;
use duckworker_e2e::worker::{self, fill};

use crate::DEADLINE;

#[tokio::test]
async fn a_status_that_is_too_large_is_refused_at_once_and_for_good() -> Result<()> {
    scenario("too-large", async |ns| {
        let plane = Plane::register(ns, DEADLINE).await?;
        ns.create::<DuckWorker>(worker::plain("w1")).await?;
        let lease = won(plane.lifecycle.adopt_new(&plane.see("w1").await?).await)?;
        let before = plane.see("w1").await?;
        fill(ns, "w1").await?;
        let sent = plane.faults.counted();
        let now = plane.lifecycle.store().connection().clock.now();
        let long = Condition::new(
            ConditionType::PodBlocked,
            ConditionStatus::True,
            "Test",
            "x".repeat(1000),
            now,
        );
        let note = Note { conditions: vec![long], ..Note::default() };
        let error = plane.lifecycle.note(&lease, note, Origin::Library).await.err();
        let error = error.context("it was written")?;
        ensure!(matches!(error, Error::Refused { .. }), "{error}");
        // Once on the version that was known, once on the one with the labels.
        ensure!(plane.faults.counted() <= sent + 2, "it was sent again and again");
        let after = plane.see("w1").await?;
        ensure!(after.worker().status == before.worker().status, "the status changed");
        Ok(())
    })
    .await
}
