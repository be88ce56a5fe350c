//! What can befall a real worker: the controller says what it was, soon, and cleans up.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::real::loss::{BY_THE_KUBELET, Loss, signal};
use duckworker_e2e::real::stub::{self, ask};
use duckworker_e2e::real::{Ran, real_scenario};
use duckworker_e2e::scenario::{await_nothing_left, bring, condition, controller, says, status};
use duckworker_e2e::worker::{is, reason};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use rustix::process::Signal;
use serde_json::json;

/// The pod of a worker that serves.
async fn serving(ns: &TestNamespace<'_>, worker: serde_json::Value) -> Result<Pod> {
    bring(ns, worker, "Idle").await?;
    Ok(ns.api::<Pod>().get("w1").await?)
}

/// What the kubelet tells.
const fn loss(fault: &'static str, reason: &'static str, sentence: &'static str) -> Loss {
    Loss { fault, reason, sentence, within: BY_THE_KUBELET }
}

#[tokio::test]
async fn a_worker_that_is_killed_is_lost() -> Result<Ran> {
    real_scenario("kill-9", async |ns| {
        let _controller = controller(ns)?;
        let pod = serving(ns, stub::worker("w1")).await?;
        let killed = Instant::now();
        signal(ns, &pod, Signal::KILL)?;
        let crashed = loss("stub: kill -9", "Crashed", "its process ended by itself");
        crashed.is_all(ns, killed, &pod).await
    })
    .await
}

#[tokio::test]
async fn a_worker_that_exits_is_lost() -> Result<Ran> {
    real_scenario("exit", async |ns| {
        let _controller = controller(ns)?;
        let pod = serving(ns, stub::worker("w1")).await?;
        let ended = Instant::now();
        ensure!(ask(&pod, "POST /exit?code=7").await.is_err(), "it ends without an answer");
        let crashed = loss("stub: exit 7", "Crashed", "its process ended by itself");
        crashed.is_all(ns, ended, &pod).await
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
        let pod = serving(ns, worker).await?;
        let begun = Instant::now();
        ensure!(ask(&pod, "POST /eat").await.is_err(), "it dies of it");
        let killed = loss("stub: memory", "OutOfMemory", "it was killed for its memory");
        killed.is_all(ns, begun, &pod).await
    })
    .await
}

#[tokio::test]
async fn a_worker_whose_pod_is_deleted_by_force_is_lost() -> Result<Ran> {
    real_scenario("force-deleted", async |ns| {
        let _controller = controller(ns)?;
        let pod = serving(ns, stub::worker("w1")).await?;
        let deleted = Instant::now();
        ns.api::<Pod>().delete("w1", &DeleteParams::default().grace_period(0)).await?;
        let gone = loss("stub: pod deleted by force", "PodGone", "its pod is gone");
        gone.is_all(ns, deleted, &pod).await
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
