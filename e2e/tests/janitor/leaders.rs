//! Which of several instances is the janitor, and what happens when all are.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker::janitor::elector::LEASE;
use duckworker::settings::Election;
use duckworker_api::DuckWorker;
use duckworker_client::{Origin, WorkerLease};
use duckworker_core::Tenant;
use duckworker_e2e::in_process::InProcess;
use duckworker_e2e::scenario::{
    ControlPlane, await_nothing_left, bring, controller_with, scenario, status, won,
};
use duckworker_e2e::worker::{is, plain, state};
use duckworker_e2e::{TestNamespace, await_gone};
use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;

use super::strays::stray;
use super::{eager, with};

fn leads(instance: &InProcess) -> Result<bool> {
    Ok(instance.metrics.encode()?.contains("duckworker_janitor_leads 1"))
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

/// Waits until somebody other than `before` holds the janitor's Lease.
async fn await_leader(ns: &TestNamespace<'_>, before: Option<&str>) -> Result<String> {
    let is_other = |lease: &Lease| holder(lease).is_some_and(|now| Some(now) != before);
    let lease = ns.await_object(LEASE, "held by another", is_other).await?;
    Ok(holder(&lease).unwrap_or_default().to_owned())
}

#[tokio::test]
async fn when_the_leader_dies_or_leaves_another_takes_over() -> Result<()> {
    scenario("leaders", async |ns| {
        let first = controller_with(ns, eager(ns)?)?;
        let killed = await_leader(ns, None).await?;
        let second = controller_with(ns, eager(ns)?)?;
        let (_, secret) = stray(ns, "under-the-first").await?;
        await_gone(&ns.api(), &secret).await?;
        ensure!(leads(&first)? && !leads(&second)?, "one leads at a time");

        first.kill().await;
        let left = await_leader(ns, Some(&killed)).await?;
        let (_, secret) = stray(ns, "under-the-second").await?;
        await_gone(&ns.api(), &secret).await?;
        ensure!(leads(&second)?, "the second leads");

        let third = controller_with(ns, eager(ns)?)?;
        second.stop().await?;
        await_leader(ns, Some(&left)).await?;
        let (_, secret) = stray(ns, "under-the-third").await?;
        await_gone(&ns.api(), &secret).await?;
        ensure!(leads(&third)?, "the third leads");
        third.stop().await
    })
    .await
}

/// How long two janitors run side by side.
const CHURN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_janitors_for_ever_do_no_harm() -> Result<()> {
    scenario("two-janitors", async |ns| {
        let mut settings = eager(ns)?;
        settings.janitor.election = Election::Off;
        settings.janitor.interval = Duration::from_millis(50);
        let first = controller_with(ns, settings.clone())?;
        let second = controller_with(ns, settings)?;
        let control_plane = ControlPlane::register(ns).await?;
        let until = Instant::now() + CHURN;
        let lanes = (0..3).map(|lane| lives(ns, &control_plane, lane, until));
        let lives: Vec<u32> = try_join_all(lanes).await?;
        await_nothing_left(ns).await?;
        ensure!(leads_always(&first)? && leads_always(&second)?, "both swept");
        eprintln!("{} lives of workers under two janitors", lives.iter().sum::<u32>());
        first.stop().await?;
        second.stop().await
    })
    .await
}

/// It ran its last step.
fn leads_always(instance: &InProcess) -> Result<bool> {
    let page = instance.metrics.encode()?;
    Ok(page.contains(r#"duckworker_janitor_last_run_timestamp_seconds{step="leases"}"#))
}

/// Life after life of a worker of a live control plane, which must win each of its transitions,
/// and of one that dies, all amid strays.
async fn lives(
    ns: &TestNamespace<'_>,
    control_plane: &ControlPlane,
    lane: usize,
    until: Instant,
) -> Result<u32> {
    let mut lived = 0;
    while Instant::now() < until {
        let (kept, orphan) = (format!("kept-{lane}-{lived}"), format!("orphan-{lane}-{lived}"));
        stray(ns, &format!("stray-{lane}-{lived}")).await?;
        let mortal = ControlPlane::register(ns).await?;
        let worker = bring(ns, with(plain(&orphan), "drainTimeoutSeconds", 1), "Idle").await?;
        let _lost = mortal.serve(&worker, "acme").await?;
        mortal.kill();
        let worker = bring(ns, with(plain(&kept), "drainTimeoutSeconds", 1), "Idle").await?;
        let _lease = serve_twice(ns, control_plane, &worker).await?;
        let ended = ns.await_object::<DuckWorker>(&orphan, "Retired", is("Retired")).await?;
        for worker in [&worker, &ended] {
            let name = worker.metadata.name.as_deref().unwrap_or_default();
            ns.api::<DuckWorker>().delete(name, &DeleteParams::default()).await?;
            await_gone(&ns.api(), worker).await?;
        }
        lived += 1;
    }
    Ok(lived)
}

async fn serve_twice(
    ns: &TestNamespace<'_>,
    control_plane: &ControlPlane,
    worker: &DuckWorker,
) -> Result<WorkerLease> {
    let lifecycle = &control_plane.lifecycle;
    let name = worker.metadata.name.as_deref().unwrap_or_default();
    let lease = control_plane.serve(worker, "acme").await?;
    won(lifecycle.release(&lease, Origin::Library).await?)?;
    let seen = lifecycle.store().observe(&ns.name, name).await?.context("a worker")?;
    let tenant = Tenant::new("acme")?;
    let again = lifecycle.claim_hot_idle(&seen, tenant, None, None, Origin::Library).await?;
    let lease = won(again)?;
    won(lifecycle.activate(&lease).await?)?;
    won(lifecycle.activated(&lease, None).await?)?;
    let now = ns.api::<DuckWorker>().get(name).await?;
    assert_eq!((state(&now), &status(&now)?.pod), ("Hot", &status(worker)?.pod));
    let pod: Pod = ns.api().get(name).await?;
    assert_eq!(pod.metadata.deletion_timestamp, None, "{name}");
    Ok(lease)
}
