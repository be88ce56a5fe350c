//! Controllers come and go; workers stay: their pods are not touched, their epoch rises.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker::settings::Settings;
use duckworker_api::DuckWorker;
use duckworker_client::Origin;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::scenario::{
    ControlPlane, await_event, await_nothing_left, bring, controller, controller_with,
    nothing_is_left, scenario, status, won,
};
use duckworker_e2e::worker::{dedicated, is, plain, reason, with_annotation};
use duckworker_e2e::{TestNamespace, annotation, await_gone, await_list};
use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use serde_json::json;

/// It has had so many owners.
fn epoch(wanted: i64) -> impl Fn(&DuckWorker) -> bool {
    move |worker| worker.status.as_ref().is_some_and(|s| s.owner_epoch == Some(wanted))
}

/// Checks that `later` is the same worker in the same state, with the same pod, under another
/// owner at the next epoch.
async fn is_adopted(ns: &TestNamespace<'_>, earlier: &DuckWorker) -> Result<()> {
    let before = status(earlier)?;
    let next = before.owner_epoch.context("an epoch")? + 1;
    let name = earlier.name_any();
    let later: DuckWorker = ns.await_object(&name, "adopted", epoch(next)).await?;
    let after = status(&later)?;
    ensure!(after.state == before.state && after.owner != before.owner, "{name}");
    ensure!(after.pod == before.pod && after.tenant == before.tenant, "{name}");
    ensure!(after.transitions[0].name == "adopt", "{name}");
    let pod = ns.api::<Pod>().get(&name).await?;
    ensure!(pod.uid() == before.pod.as_ref().map(|pod| pod.uid.clone()), "{name}");
    ensure!(pod.metadata.deletion_timestamp.is_none(), "{name}");
    await_event(ns, &name, "WorkerAdopted").await?;
    Ok(())
}

/// Times that a busy machine does not upset: a live replica must not be taken for dead.
fn calm_settings(ns: &TestNamespace<'_>) -> Result<Settings> {
    let mut settings = quick_settings(&ns.name)?;
    settings.lease.pause = Duration::from_secs(2);
    settings.lease.expire = Duration::from_secs(3);
    Ok(settings)
}

#[tokio::test]
async fn workers_of_a_dead_controller_are_adopted_by_the_next() -> Result<()> {
    scenario("adopt-dead", async |ns| {
        let first = controller(ns)?;
        let idle = bring(ns, plain("idle"), "Idle").await?;
        let hot = bring(ns, dedicated("hot", "acme"), "Hot").await?;
        first.kill().await;
        let _second = controller(ns)?;
        is_adopted(ns, &idle).await?;
        is_adopted(ns, &hot).await
    })
    .await
}

#[tokio::test]
async fn a_start_goes_on_under_the_next_controller() -> Result<()> {
    scenario("adopt-start", async |ns| {
        let first = controller(ns)?;
        let worker = with_annotation("w1", annotation::START_DELAY, "3s");
        ns.create::<DuckWorker>(worker).await?;
        let has_pod = |w: &DuckWorker| w.status.as_ref().is_some_and(|s| s.pod.is_some());
        let spawning: DuckWorker = ns.await_object("w1", "with a pod", has_pod).await?;
        first.kill().await;
        let _second = controller(ns)?;
        let idle: DuckWorker = ns.await_object("w1", "Idle", is("Idle")).await?;
        ensure!(status(&idle)?.owner_epoch == Some(2));
        ensure!(
            status(&idle)?.pod.as_ref().map(|p| &p.uid)
                == status(&spawning)?.pod.as_ref().map(|p| &p.uid)
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deletion_that_a_dead_controller_began_is_ended_by_the_next() -> Result<()> {
    scenario("adopt-deletion", async |ns| {
        let first = controller(ns)?;
        let worker = with_annotation("w1", annotation::STOP_DELAY, "2s");
        let worker = bring(ns, worker, "Idle").await?;
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        ns.await_object::<DuckWorker>("w1", "Draining", is("Draining")).await?;
        first.kill().await;
        let _second = controller(ns)?;
        await_gone(&ns.api(), &worker).await?;
        nothing_is_left(ns).await
    })
    .await
}

/// Two replicas, and workers of which each holds some.
async fn two_replicas(ns: &TestNamespace<'_>) -> Result<(InProcess, InProcess, Vec<DuckWorker>)> {
    let replicas =
        (controller_with(ns, calm_settings(ns)?)?, controller_with(ns, calm_settings(ns)?)?);
    let both = |leases: &[Lease]| leases.len() == 2;
    await_list(&ns.api::<Lease>(), &instances(), "two", both).await?;
    let names: Vec<String> = (0..12).map(|number| format!("w{number}")).collect();
    let workers = try_join_all(names.iter().map(|name| bring(ns, plain(name), "Idle"))).await?;
    Ok((replicas.0, replicas.1, workers))
}

/// The Leases of instances, and no others.
const INSTANCES: &str = "duckworker.dev/component=control-plane";

fn instances() -> watcher::Config {
    watcher::Config::default().labels(INSTANCES)
}

async fn lease_count(ns: &TestNamespace<'_>) -> Result<usize> {
    let leases = ns.api::<Lease>().list(&ListParams::default().labels(INSTANCES)).await?;
    Ok(leases.items.len())
}

/// All that own a worker.
async fn owners(ns: &TestNamespace<'_>) -> Result<Vec<String>> {
    let workers = ns.api::<DuckWorker>().list(&ListParams::default()).await?;
    let mut owners: Vec<_> =
        workers.items.iter().filter_map(|worker| worker.status.as_ref()?.owner.clone()).collect();
    owners.sort();
    owners.dedup();
    Ok(owners)
}

#[tokio::test]
async fn a_replica_that_dies_loses_nothing() -> Result<()> {
    scenario("replica-dies", async |ns| {
        let (first, _second, workers) = two_replicas(ns).await?;
        ensure!(owners(ns).await?.len() == 2, "each has some");
        first.kill().await;
        let expired = |lease: &Lease| {
            lease.labels().get("duckworker.dev/instance-state").is_some_and(|s| s == "expired")
        };
        let one = |leases: &[Lease]| leases.iter().any(expired);
        let leases = await_list(&ns.api::<Lease>(), &instances(), "marked", one).await?;
        let dead = leases.into_iter().find(|lease| expired(lease)).and_then(|l| l.spec);
        let dead = dead.and_then(|spec| spec.holder_identity).context("a holder")?;
        for worker in &workers {
            if status(worker)?.owner.as_deref() == Some(dead.as_str()) {
                is_adopted(ns, worker).await?;
            } else {
                let now = ns.api::<DuckWorker>().get(&worker.name_any()).await?;
                ensure!(now.status == worker.status, "the living keep what they have");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_replica_that_is_told_to_stop_hands_over_first() -> Result<()> {
    scenario("replica-stops", async |ns| {
        let (first, _second, workers) = two_replicas(ns).await?;
        first.stop().await?;
        // Nothing is awaited here: it was all handed over before it left.
        ensure!(owners(ns).await?.len() == 1);
        ensure!(lease_count(ns).await? == 1, "its Lease is gone");
        for worker in &workers {
            let now = ns.api::<DuckWorker>().get(&worker.name_any()).await?;
            ensure!(status(&now)?.pod == status(worker)?.pod && status(&now)?.state == "Idle");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_lone_controller_leaves_at_once_and_the_next_adopts() -> Result<()> {
    scenario("lone-stop", async |ns| {
        let first = controller(ns)?;
        let idle = bring(ns, plain("w1"), "Idle").await?;
        first.stop().await?;
        ensure!(lease_count(ns).await? == 0);
        let _second = controller(ns)?;
        is_adopted(ns, &idle).await
    })
    .await
}

#[tokio::test]
async fn a_parked_worker_of_a_dead_control_plane_is_adopted() -> Result<()> {
    scenario("adopt-parked", async |ns| {
        let _controller = controller(ns)?;
        let owner = ControlPlane::register(ns).await?;
        let idle = bring(ns, plain("w1"), "Idle").await?;
        let lease = owner.serve(&idle, "acme").await?;
        won(owner.lifecycle.release(&lease, Origin::Library).await?)?;
        let parked: DuckWorker = ns.await_object("w1", "HotIdle", is("HotIdle")).await?;
        owner.kill();
        is_adopted(ns, &parked).await
    })
    .await
}

#[tokio::test]
async fn a_worker_of_a_control_plane_whose_pod_is_gone_is_lost() -> Result<()> {
    scenario("foreign-lost", async |ns| {
        let _controller = controller(ns)?;
        let owner = ControlPlane::register(ns).await?;
        let idle = bring(ns, plain("w1"), "Idle").await?;
        let _lease = owner.serve(&idle, "acme").await?;
        ns.api::<Pod>().delete("w1", &DeleteParams::default().grace_period(0)).await?;
        let lost: DuckWorker = ns.await_object("w1", "Lost", is("Lost")).await?;
        ensure!(reason(&lost) == Some("PodGone"));
        ensure!(status(&lost)?.owner_epoch == Some(2), "told from what was seen, not adopted");
        await_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_change_of_the_spec_is_acknowledged() -> Result<()> {
    scenario("generation", async |ns| {
        let _controller = controller(ns)?;
        bring(ns, plain("w1"), "Idle").await?;
        let change = json!({ "spec": { "drainTimeoutSeconds": 7 } });
        let (workers, params) = (ns.api::<DuckWorker>(), PatchParams::default());
        let changed = workers.patch("w1", &params, &Patch::Merge(change)).await?;
        let generation = changed.metadata.generation;
        let acknowledged =
            |w: &DuckWorker| w.status.as_ref().is_some_and(|s| s.observed_generation == generation);
        ns.await_object::<DuckWorker>("w1", "acknowledged", acknowledged).await?;
        Ok(())
    })
    .await
}
