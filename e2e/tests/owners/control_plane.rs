//! The example control plane, as a process with no more rights than it needs: it claims idle
//! workers, holds them, is killed and comes back.
#![allow(clippy::large_futures, reason = "the future of a whole test")]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::scenario::{bring, controller_with, scenario, status};
use duckworker_e2e::worker::{self, is, reason, state};
use duckworker_e2e::{ControllerProcess, PATIENCE, TestNamespace, example_binary, rights};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

/// Starts the example in a pod of this name, for these tenants.
async fn start(ns: &TestNamespace<'_>, pod: &str, args: &[&str]) -> Result<ControllerProcess> {
    let pod: Pod = ns
        .create(json!({
            "metadata": { "name": pod },
            "spec": { "serviceAccountName": "cp",
                "containers": [{ "name": "cp", "image": "example.invalid/cp:1" }] },
        }))
        .await?;
    let identity = ns.cluster.service_account(&ns.name, "cp", Some(&pod)).await?;
    let common = ["--namespace", &ns.name, "--lease-namespace", &ns.name, "--lease-expire", "4"];
    let args = [&common[..], args].concat();
    let program = example_binary().await?;
    let name = pod.name_any();
    ControllerProcess::start_program(ns.cluster, &name, program, &identity, &args, &[])
}

/// A controller that is as patient with Leases as the example believes.
fn calm_controller(ns: &TestNamespace<'_>, orphan_grace: Duration) -> Result<InProcess> {
    let mut settings = quick_settings(&ns.name)?;
    settings.lease.expire = Duration::from_secs(4);
    settings.janitor.interval = Duration::from_millis(500);
    settings.janitor.orphan_grace = orphan_grace;
    controller_with(ns, settings)
}

async fn prepare(ns: &TestNamespace<'_>) -> Result<()> {
    ns.cluster.install_config().await?;
    ns.kubectl(&["create", "serviceaccount", "cp"]).await?.ok()?;
    rights::control_plane(ns, &format!("--serviceaccount={}:cp", ns.name)).await
}

/// It serves a tenant for an instance in this pod.
fn serves(pod: &'static str) -> impl Fn(&DuckWorker) -> bool {
    move |worker| {
        let owner = worker.status.as_ref().and_then(|status| status.owner.clone());
        state(worker) == "Hot" && owner.is_some_and(|owner| owner.starts_with(&format!("{pod}.")))
    }
}

async fn all_served(
    ns: &TestNamespace<'_>,
    workers: &[&str],
    pod: &'static str,
) -> Result<Vec<DuckWorker>> {
    let mut served = Vec::new();
    for name in workers {
        served.push(ns.await_object::<DuckWorker>(name, "Hot", serves(pod)).await?);
    }
    Ok(served)
}

#[tokio::test]
async fn a_control_plane_claims_for_its_tenants_and_gives_back_what_it_holds() -> Result<()> {
    scenario("plane", async |ns| {
        prepare(ns).await?;
        let controller = calm_controller(ns, Duration::from_secs(30))?;
        for name in ["w1", "w2"] {
            bring(ns, worker::plain(name), "Idle").await?;
        }
        let tenants = ["--tenant", "acme", "--tenant", "umbrella", "--hold", "600"];
        let process = start(ns, "cp-1", &tenants).await?;
        let held = all_served(ns, &["w1", "w2"], "cp-1").await?;
        let mut served: Vec<_> =
            held.iter().filter_map(|w| status(w).ok()?.tenant.clone()).collect();
        served.sort_unstable();
        ensure!(served == ["acme", "umbrella"], "{served:?}");
        // Its sessions outlast its patience, so its workers are kept; the controllers see to them.
        ensure!(process.component().pid().is_some());
        process.component().kill()?;
        let orphaned = |w: &DuckWorker| reason(w) == Some("Orphaned");
        for name in ["w1", "w2"] {
            ns.await_object::<DuckWorker>(name, "orphaned", orphaned).await?;
        }
        controller.stop().await
    })
    .await
}

#[tokio::test]
async fn a_stopped_control_plane_parks_its_worker_and_it_is_adopted() -> Result<()> {
    scenario("plane-stops", async |ns| {
        prepare(ns).await?;
        let controller = calm_controller(ns, Duration::from_secs(30))?;
        bring(ns, worker::plain("w1"), "Idle").await?;
        let process = start(ns, "cp-1", &["--tenant", "acme", "--hold", "2"]).await?;
        all_served(ns, &["w1"], "cp-1").await?;
        process.stop().await?;
        let adopted = |worker: &DuckWorker| {
            let status = worker.status.as_ref();
            status.is_some_and(|s| s.transitions.first().is_some_and(|t| t.name == "adopt"))
        };
        let worker = ns.await_object::<DuckWorker>("w1", "adopted", adopted).await?;
        ensure!(is("HotIdle")(&worker), "{:?}", worker.status);
        controller.stop().await
    })
    .await
}

/// Waits until a session is written down.
async fn await_record(record: &Path) -> Result<()> {
    let written = async {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        while std::fs::read_to_string(record).is_ok_and(|text| text.is_empty()) || !record.exists()
        {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.context("no session was written down")
}

#[tokio::test]
async fn a_control_plane_that_comes_back_in_time_takes_its_workers_over() -> Result<()> {
    scenario("plane-returns", async |ns| {
        prepare(ns).await?;
        let controller = calm_controller(ns, Duration::from_mins(1))?;
        bring(ns, worker::plain("w1"), "Idle").await?;
        let sessions = tempfile::tempdir()?;
        let folder: &Path = sessions.path();
        let folder = folder.to_str().context("a path")?;
        let args = ["--tenant", "acme", "--hold", "600", "--sessions", folder];
        let first = start(ns, "cp-1", &args).await?;
        let before = all_served(ns, &["w1"], "cp-1").await?.remove(0);
        await_record(&sessions.path().join("acme")).await?;
        first.component().kill()?;
        let second = start(ns, "cp-2", &args).await?;
        let after = all_served(ns, &["w1"], "cp-2").await?.remove(0);
        let (before, after) = (status(&before)?, status(&after)?);
        ensure!(after.owner_epoch == before.owner_epoch.map(|epoch| epoch + 1), "{after:?}");
        ensure!(after.pod == before.pod && after.tenant == before.tenant, "{after:?}");
        let uid = after.pod.as_ref().map(|pod| pod.uid.clone());
        let pod = ns.api::<Pod>().get("w1").await?;
        ensure!(pod.uid() == uid && pod.metadata.deletion_timestamp.is_none());
        second.component().kill()?;
        controller.stop().await
    })
    .await
}
