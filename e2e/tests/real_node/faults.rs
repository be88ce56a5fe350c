//! What can befall a real worker: the controller says what it was, soon, and cleans up.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::real::stub::{self, ask, containers};
use duckworker_e2e::real::{Ran, real_scenario};
use duckworker_e2e::scenario::{
    await_event, await_nothing_left, bring, condition, controller, says, status,
};
use duckworker_e2e::worker::{is, reason};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// From the kill of a process to the kubelet's word of it, and then to ours. The kubelet looks once
/// a second.
const NOTICED: Duration = Duration::from_secs(5);

/// A worker that serves, its pod, and the ids of its containers.
async fn serving(ns: &TestNamespace<'_>, worker: serde_json::Value) -> Result<(Pod, Vec<String>)> {
    bring(ns, worker, "Idle").await?;
    let pod = ns.api::<Pod>().get("w1").await?;
    let containers = containers(&pod);
    ensure!(containers.len() == 1, "{containers:?}");
    Ok((pod, containers))
}

/// Waits until the worker is lost for this reason, says so in an Event, and nothing is left of it
/// in the API server or on the node.
async fn is_lost(
    ns: &TestNamespace<'_>,
    since: Instant,
    why: &str,
    sentence: &str,
    containers: &[String],
) -> Result<()> {
    let lost: DuckWorker = ns.await_object("w1", "Lost", is("Lost")).await?;
    let took = since.elapsed();
    eprintln!("{why}: lost after {} ms", took.as_millis());
    ensure!(reason(&lost) == Some(why), "{:?}", reason(&lost));
    ensure!(took < NOTICED, "noticed after {took:?}");
    ensure!(condition(&lost, "Stalled").is_some_and(|stalled| stalled.status == "True"));
    let told = await_event(ns, "w1", "WorkerLost").await?;
    ensure!(told.contains(sentence), "{told}");
    await_nothing_left(ns).await?;
    ns.cluster.real_node()?.await_ended(containers).await
}

#[tokio::test]
async fn a_worker_that_is_killed_is_lost() -> Result<Ran> {
    real_scenario("kill-9", async |ns| {
        let _controller = controller(ns)?;
        let (_, containers) = serving(ns, stub::worker("w1")).await?;
        let processes = ns.cluster.real_node()?.processes(&containers[0])?;
        ensure!(processes.len() == 1, "{processes:?}");
        let process = Pid::from_raw(processes[0].try_into()?).context("no process id")?;
        let killed = Instant::now();
        kill_process(process, Signal::KILL)?;
        is_lost(ns, killed, "Crashed", "its process ended by itself", &containers).await
    })
    .await
}

#[tokio::test]
async fn a_worker_that_exits_is_lost() -> Result<Ran> {
    real_scenario("exit", async |ns| {
        let _controller = controller(ns)?;
        let (pod, containers) = serving(ns, stub::worker("w1")).await?;
        let ended = Instant::now();
        ensure!(ask(&pod, "POST /exit?code=7").await.is_err(), "it ends without an answer");
        is_lost(ns, ended, "Crashed", "its process ended by itself", &containers).await
    })
    .await
}

#[tokio::test]
async fn a_worker_that_takes_more_memory_than_it_may_is_lost() -> Result<Ran> {
    real_scenario("out-of-memory", async |ns| {
        let _controller = controller(ns)?;
        let mut worker = stub::worker("w1");
        let container = &mut worker["spec"]["template"]["spec"]["containers"][0];
        container["resources"] = json!({ "limits": { "memory": "64Mi" } });
        let (pod, containers) = serving(ns, worker).await?;
        let begun = Instant::now();
        ensure!(ask(&pod, "POST /eat").await.is_err(), "it dies of it");
        is_lost(ns, begun, "OutOfMemory", "it was killed for its memory", &containers).await
    })
    .await
}

#[tokio::test]
async fn a_worker_whose_pod_is_deleted_by_force_is_lost() -> Result<Ran> {
    real_scenario("force-deleted", async |ns| {
        let _controller = controller(ns)?;
        let (_, containers) = serving(ns, stub::worker("w1")).await?;
        let deleted = Instant::now();
        ns.api::<Pod>().delete("w1", &DeleteParams::default().grace_period(0)).await?;
        is_lost(ns, deleted, "PodGone", "its pod is gone", &containers).await
    })
    .await
}

#[tokio::test]
async fn a_worker_without_its_image_is_blocked_then_abandoned() -> Result<Ran> {
    real_scenario("no-image", async |ns| {
        let _controller = controller(ns)?;
        let mut worker = stub::worker("w1");
        worker["spec"]["startupTimeoutSeconds"] = json!(5);
        let container = &mut worker["spec"]["template"]["spec"]["containers"][0];
        container["image"] = json!("duckworker.invalid/none:1");
        let created = Instant::now();
        ns.create::<DuckWorker>(worker).await?;
        let blocked = says("PodBlocked", "ImagePullFailed");
        let told: DuckWorker = ns.await_object("w1", "blocked", blocked).await?;
        eprintln!("ImagePullFailed: told after {} ms", created.elapsed().as_millis());
        let sentence = &condition(&told, "PodBlocked").context("a condition")?.message;
        ensure!(sentence.contains("duckworker.invalid/none:1"), "{sentence}");
        let retired: DuckWorker = ns.await_object("w1", "Retired", is("Retired")).await?;
        ensure!(reason(&retired) == Some("ImagePullFailed"), "{:?}", reason(&retired));
        ensure!(status(&retired)?.transitions[0].name == "abandon");
        await_nothing_left(ns).await
    })
    .await
}
