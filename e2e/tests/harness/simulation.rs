//! Pods on simulated nodes do what their annotations say.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::{Cluster, annotation, await_gone, node, pod_is_ready, pod_phase};
use k8s_openapi::api::core::v1::{ContainerState, Node, Pod};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::json;

use crate::pod;

fn state(pod: &Pod) -> Option<&ContainerState> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()?.state.as_ref()
}

fn waits_for(reason: &'static str) -> impl Fn(&Pod) -> bool {
    move |pod| {
        let waiting = state(pod).and_then(|state| state.waiting.as_ref());
        waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some(reason))
    }
}

#[tokio::test]
async fn a_pod_gets_ready_with_an_address() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("ready", async |ns| {
            ns.create::<Pod>(pod("plain", &[])).await?;
            let pod = ns.await_object::<Pod>("plain", "Ready", pod_is_ready).await?;
            ensure!(pod_phase(&pod) == "Running");
            ensure!(state(&pod).is_some_and(|state| state.running.is_some()));
            let status = pod.status.context("no status")?;
            ensure!(status.pod_ip.context("no address")?.starts_with("127.100."));
            let mut conditions: Vec<_> =
                status.conditions.unwrap_or_default().into_iter().map(|c| c.type_).collect();
            conditions.sort();
            let expected = [
                "ContainersReady",
                "Initialized",
                "PodReadyToStartContainers",
                "PodScheduled",
                "Ready",
            ];
            ensure!(conditions == expected, "{conditions:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_deleted_pod_goes_at_once() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("delete", async |ns| {
            ns.create::<Pod>(pod("plain", &[])).await?;
            let pod = ns.await_object::<Pod>("plain", "Ready", pod_is_ready).await?;
            let started = Instant::now();
            ns.api::<Pod>().delete("plain", &DeleteParams::default()).await?;
            await_gone(&ns.api(), &pod).await?;
            // Its grace period is 30 s.
            ensure!(started.elapsed() < Duration::from_secs(10));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn start_delay_shows_a_container_being_created_first() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("start-delay", async |ns| {
            ns.create::<Pod>(pod("slow", &[(annotation::START_DELAY, "2s")])).await?;
            let creating = waits_for("ContainerCreating");
            ns.await_object("slow", "being created", creating).await?;
            let shown = Instant::now();
            ns.await_object("slow", "Ready", pod_is_ready).await?;
            ensure!(shown.elapsed() > Duration::from_secs(1), "{:?}", shown.elapsed());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn never_ready_runs_without_getting_ready() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("never-ready", async |ns| {
            ns.create::<Pod>(pod("unready", &[(annotation::NEVER_READY, "true")])).await?;
            let running = |pod: &Pod| pod_phase(pod) == "Running";
            let pod = ns.await_object("unready", "running", running).await?;
            ensure!(!pod_is_ready(&pod));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn image_pull_fail_waits_for_the_image() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("image-pull", async |ns| {
            ns.create::<Pod>(pod("imageless", &[(annotation::IMAGE_PULL, "fail")])).await?;
            let pod = ns
                .await_object("imageless", "without image", waits_for("ImagePullBackOff"))
                .await?;
            ensure!(pod_phase(&pod) == "Pending");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn crash_after_ends_a_ready_pod_with_an_exit_code() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("crash", async |ns| {
            let crash = [(annotation::CRASH_AFTER, "1s"), (annotation::EXIT_CODE, "137")];
            ns.create::<Pod>(pod("weak", &crash)).await?;
            ns.await_object("weak", "Ready", pod_is_ready).await?;
            let failed = |pod: &Pod| pod_phase(pod) == "Failed";
            let pod = ns.await_object("weak", "failed", failed).await?;
            let ended = state(&pod).and_then(|state| state.terminated.as_ref());
            ensure!(ended.context("not terminated")?.exit_code == 137);
            ensure!(!pod_is_ready(&pod));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn stop_delay_keeps_a_deleted_pod() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("stop-delay", async |ns| {
            ns.create::<Pod>(pod("stubborn", &[(annotation::STOP_DELAY, "2s")])).await?;
            ns.await_object("stubborn", "Ready", pod_is_ready).await?;
            let started = Instant::now();
            ns.api::<Pod>().delete("stubborn", &DeleteParams::default()).await?;
            let deleted = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
            let pod = ns.await_object("stubborn", "being deleted", deleted).await?;
            ensure!(pod_is_ready(&pod));
            await_gone(&ns.api(), &pod).await?;
            ensure!(started.elapsed() > Duration::from_secs(1), "{:?}", started.elapsed());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn another_node_can_be_made_cordoned_and_deleted() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("node", async |ns| {
            let name = format!("sim-{}", ns.name);
            node::create_simulated_node(ns.client.clone(), &name).await?;
            let mut wanted = pod("there", &[]);
            wanted["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": name});
            ns.create::<Pod>(wanted).await?;
            let pod = ns.await_object("there", "Ready", pod_is_ready).await?;
            ensure!(pod.spec.and_then(|spec| spec.node_name).as_ref() == Some(&name));

            node::cordon(ns.client.clone(), &name).await?;
            let cordoned = ns.cluster_api::<Node>().get(&name).await?;
            ensure!(cordoned.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)));
            node::uncordon(ns.client.clone(), &name).await?;
            node::delete_node(ns.client.clone(), &name).await?;
            ensure!(ns.cluster_api::<Node>().get_opt(&cordoned.name_any()).await?.is_none());
            Ok(())
        })
        .await
}
