//! A step of the janitor that hangs or fails holds up no other, and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::Connection;
use duckworker_client::instance::lease_name;
use duckworker_e2e::in_process::InProcess;
use duckworker_e2e::scenario::{ControlPlane, await_event, bring, scenario};
use duckworker_e2e::worker::{is, plain, reason};
use duckworker_e2e::{TestNamespace, await_gone, pod_is_ready};
use duckworker_faults::choose::Choose;
use duckworker_faults::{Call, Fault, Faults, Refusal, Verb};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;

use super::eager;
use super::strays::{secret_for, stray};

/// A controller with faults under its calls, whose janitor has little patience.
fn hindered(ns: &TestNamespace<'_>, faults: impl Choose + 'static) -> Result<InProcess> {
    let faults = Faults::by(faults);
    let connection = Connection::with_layer(ns.cluster.config()?, &faults.layer())?;
    let mut settings = eager(ns)?;
    settings.janitor.step_deadline = Duration::from_millis(500);
    Ok(InProcess::start(settings, connection))
}

/// What a metric of the janitor shows.
fn metric(controller: &InProcess, name: &str, labels: &str) -> Result<f64> {
    let series = format!("duckworker_janitor_{name}{{{labels}}} ");
    let page = controller.metrics.encode()?;
    let value = page.lines().find_map(|line| line.strip_prefix(series.as_str()));
    Ok(value.with_context(|| format!("no {series}"))?.parse()?)
}

/// Deletions of pods suffer this until the switch is turned off.
fn while_on(switch: &Arc<AtomicBool>, fault: Fault) -> impl Choose + 'static {
    let switch = Arc::clone(switch);
    move |_, call: &Call| {
        let hit = switch.load(Ordering::SeqCst) && call.is(Verb::Delete, "pods");
        hit.then(|| fault.clone())
    }
}

/// A stray pod that cannot be deleted, and a stray secret, which is gone when this returns: its step
/// comes after that of pods, and the pod is the older of the two.
async fn a_pod_stays_and_a_secret_goes(ns: &TestNamespace<'_>) -> Result<Pod> {
    let (pod, _) = stray(ns, "stays").await?;
    ns.await_object::<Pod>("stays", "Ready", pod_is_ready).await?;
    let uid = format!("00000000-0000-0000-0000-{:012x}", rand::random::<u32>());
    let alone: Secret = ns.create(secret_for("alone-rpc", &uid, &uid)).await?;
    await_gone(&ns.api(), &alone).await?;
    let still = ns.api::<Pod>().get(&pod.name_any()).await?;
    ensure!(still.metadata.deletion_timestamp.is_none(), "nothing was hindered");
    Ok(pod)
}

#[tokio::test]
async fn a_step_that_hangs_is_cut_and_the_later_ones_run() -> Result<()> {
    scenario("step-hangs", async |ns| {
        let switch = Arc::new(AtomicBool::new(true));
        let controller = hindered(ns, while_on(&switch, Fault::Hang))?;
        let pod = a_pod_stays_and_a_secret_goes(ns).await?;
        ensure!(metric(&controller, "cut_total", r#"step="pods""#)? >= 1.0);
        ensure!(metric(&controller, "cut_total", r#"step="secrets""#).is_err(), "cut as well");
        switch.store(false, Ordering::SeqCst);
        await_gone(&ns.api(), &pod).await?;
        controller.stop().await
    })
    .await
}

#[tokio::test]
async fn a_step_that_fails_is_counted_and_the_later_ones_run() -> Result<()> {
    scenario("step-fails", async |ns| {
        let switch = Arc::new(AtomicBool::new(true));
        let controller = hindered(ns, while_on(&switch, Fault::Refuse(Refusal::Forbidden)))?;
        let pod = a_pod_stays_and_a_secret_goes(ns).await?;
        ensure!(metric(&controller, "acts_total", r#"step="pods",result="failed""#)? >= 1.0);
        ensure!(metric(&controller, "cut_total", r#"step="pods""#).is_err(), "it hung");
        switch.store(false, Ordering::SeqCst);
        await_gone(&ns.api(), &pod).await?;
        controller.stop().await
    })
    .await
}

#[tokio::test]
async fn a_mark_that_hangs_is_cut_and_made_by_the_next_look() -> Result<()> {
    scenario("mark-hangs", async |ns| {
        let dead = ControlPlane::register(ns).await?;
        let lease = lease_name(dead.lifecycle.instance().owner());
        let mut first = true;
        let marked = lease.clone();
        let controller = hindered(ns, move |_, call: &Call| {
            let is_mark = call.is(Verb::Update, "leases");
            let hit = is_mark && call.name.as_ref() == Some(&marked) && first;
            first &= !hit;
            hit.then_some(Fault::Hang)
        })?;
        let idle = bring(ns, plain("w1"), "Idle").await?;
        let _lost = dead.serve(&idle, "acme").await?;
        dead.kill();
        await_event(ns, &lease, "InstanceExpired").await?;
        ensure!(metric(&controller, "cut_total", r#"step="expire_dead""#)? >= 1.0);
        for step in ["expire_dead", "expire_overdue"] {
            let labels = format!("step=\"{step}\"");
            ensure!(metric(&controller, "last_run_timestamp_seconds", &labels)? > 0.0, "{step}");
        }
        let ended = ns.await_object::<DuckWorker>("w1", "Retired", is("Retired")).await?;
        ensure!(reason(&ended) == Some("Orphaned"));
        controller.stop().await
    })
    .await
}
