//! The caller gives up before the answer: a time-out of its own, a cancelled task.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_client::Origin;
use duckworker_core::{Note, Reason};
use duckworker_e2e::TestNamespace;
use duckworker_e2e::plane::{Plane, won};
use duckworker_e2e::scenario::scenario;
use duckworker_faults::{Fault, Meanwhile};
use futures::future::try_join_all;

use crate::{DEADLINE, claimed_once};

/// When the caller gives up: long before the call's deadline.
const GIVES_UP: Duration = Duration::from_millis(200);

#[tokio::test]
async fn the_next_caller_settles_what_a_dropped_one_began() -> Result<()> {
    scenario("dropped", async |ns| {
        let faults = [Fault::Hang, Fault::HangAfter, Fault::Late(DEADLINE / 2, Meanwhile::Silent)];
        let runs = faults
            .into_iter()
            .enumerate()
            .map(async |(number, fault)| drop_and_ask(ns, &format!("w{number}"), fault).await);
        try_join_all(runs).await.map(drop)
    })
    .await
}

async fn drop_and_ask(ns: &TestNamespace<'_>, name: &str, fault: Fault) -> Result<()> {
    let plane = Plane::register(ns, DEADLINE).await?;
    let idle = plane.idle(name).await?;
    plane.suffers([fault]);
    let dropped = tokio::time::timeout(GIVES_UP, plane.claim(&idle)).await;
    ensure!(dropped.is_err(), "{name} was answered");
    // Whoever asks next, for whatever, first gets the answer to what was begun.
    let lease = plane.lifecycle.lease(&idle.key().uid).await?.context("nothing is held")?;
    claimed_once(&idle, &plane.see(name).await?)?;
    won(plane.lifecycle.activate(&lease).await)?;
    Ok(())
}

#[tokio::test]
async fn a_held_request_that_arrives_long_after_its_sender_gave_up_changes_nothing() -> Result<()> {
    scenario("held-dropped", async |ns| {
        let plane = Plane::register(ns, DEADLINE).await?;
        let idle = plane.idle("w1").await?;
        plane.suffers([Fault::Held(Meanwhile::Silent)]);
        let claim = tokio::time::timeout(GIVES_UP, plane.claim(&idle)).await;
        ensure!(claim.is_err(), "it was answered");
        let lease = plane.lifecycle.lease(&idle.key().uid).await?.context("nothing is held")?;
        won(plane.lifecycle.activate(&lease).await)?;
        let before = plane.see("w1").await?;
        let mark = ns.cluster.audit().mark()?;
        plane.faults.release();
        crate::races::await_conflict(ns, mark, "w1").await?;
        let after = plane.see("w1").await?;
        ensure!(after.worker() == before.worker(), "the late request landed");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_pod_is_touched_and_nothing_begun_while_an_answer_is_missing() -> Result<()> {
    scenario("undecided", async |ns| {
        let plane = Plane::register(ns, DEADLINE / 3).await?;
        let idle = plane.idle("w1").await?;
        let lease = plane.lifecycle.lease(&idle.key().uid).await?.context("nothing is held")?;
        // Every sending of the drain is lost for as long as its caller has patience.
        plane.suffers(std::iter::repeat_n(Fault::Hang, 100));
        let drain = plane.lifecycle.drain(&lease, Reason::Deleted, Origin::Finalizer).await;
        let error = drain.err().context("it was decided")?;
        ensure!(matches!(error, duckworker_client::Error::Undecided { .. }), "{error}");
        // Another transition first asks what became of the drain, and is told no more.
        let note = plane.lifecycle.note(&lease, Note::default(), Origin::Library).await;
        ensure!(note.is_err(), "a note was decided before the drain");
        ensure!(plane.see("w1").await?.worker() == idle.worker(), "something was written");
        plane.suffers([]);
        let note = plane.lifecycle.note(&lease, Note::default(), Origin::Library).await;
        won(note)?;
        let after = plane.see("w1").await?;
        let state = after.state();
        ensure!(state == duckworker_core::WorkerState::Draining, "it is {state}");
        ensure!(after.worker().status.writes.seq == idle.worker().status.writes.seq + 2);
        Ok(())
    })
    .await
}
