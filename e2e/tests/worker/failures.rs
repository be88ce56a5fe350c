//! A worker whose start fails says why, and is abandoned when its time is over; a worker that
//! ran and is gone is lost; one whose pod is told to stop is drained.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::scenario::{
    await_event, await_nothing_left, bring, condition, controller, forbid_pods, nothing_is_left,
    says, scenario, status,
};
use duckworker_e2e::worker::{is, plain, reason, with_annotation};
use duckworker_e2e::{AuditEvent, TestNamespace, annotation};
use k8s_openapi::api::core::v1::{Namespace, Pod, ResourceQuota, Secret};
use kube::api::{DeleteParams, EvictParams, Patch, PatchParams};
use serde_json::{Map, Value, json};

/// A worker that has so many seconds for its start.
fn within(seconds: u32, mut worker: Value) -> Value {
    worker["spec"]["startupTimeoutSeconds"] = json!(seconds);
    worker
}

/// The pod's annotations.
fn annotated(name: &str, annotations: &Value) -> Value {
    let mut worker = plain(name);
    worker["spec"]["template"]["metadata"] = json!({ "annotations": annotations });
    worker
}

/// Waits until the worker is abandoned for this reason; then nothing of it may be left but itself.
async fn is_abandoned(ns: &TestNamespace<'_>, name: &str, why: &str) -> Result<DuckWorker> {
    let retired: DuckWorker = ns.await_object(name, "Retired", is("Retired")).await?;
    ensure!(reason(&retired) == Some(why), "{:?}", reason(&retired));
    ensure!(status(&retired)?.transitions[0].name == "abandon");
    ensure!(condition(&retired, "Ready").is_none(), "nothing that could be ready");
    await_nothing_left(ns).await?;
    await_event(ns, name, "WorkerAbandoned").await?;
    Ok(retired)
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_told_and_the_worker_abandoned() -> Result<()> {
    scenario("image-pull", async |ns| {
        let _controller = controller(ns)?;
        let worker = with_annotation("w1", annotation::IMAGE_PULL, "fail");
        ns.create::<DuckWorker>(within(3, worker)).await?;
        let blocked = says("PodBlocked", "ImagePullFailed");
        let worker: DuckWorker = ns.await_object("w1", "blocked", blocked).await?;
        ensure!(condition(&worker, "Ready").is_some_and(|ready| ready.status == "False"));
        await_event(ns, "w1", "PodBlocked").await?;
        is_abandoned(ns, "w1", "ImagePullFailed").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_without_a_node_is_told_and_the_worker_abandoned() -> Result<()> {
    scenario("unschedulable", async |ns| {
        let _controller = controller(ns)?;
        let mut worker = within(3, plain("w1"));
        worker["spec"]["template"]["spec"]["nodeSelector"] = json!({ "no": "such" });
        ns.create::<DuckWorker>(worker).await?;
        let blocked = says("PodBlocked", "Unschedulable");
        let worker: DuckWorker = ns.await_object("w1", "blocked", blocked).await?;
        let told = condition(&worker, "PodBlocked").context("a condition")?;
        ensure!(told.message.contains("nodes are available"), "{}", told.message);
        is_abandoned(ns, "w1", "Unschedulable").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_over_which_the_server_itself_fails_is_told() -> Result<()> {
    scenario("server-fails", async |ns| {
        let _controller = controller(ns)?;
        let mut worker = within(3, plain("w1"));
        // Answered with 500 "resource name may not be empty".
        worker["spec"]["template"]["spec"]["runtimeClassName"] = json!("");
        ns.create::<DuckWorker>(worker).await?;
        let blocked = says("PodBlocked", "PodRefused");
        let worker: DuckWorker = ns.await_object("w1", "blocked", blocked).await?;
        let told = condition(&worker, "PodBlocked").context("a condition")?;
        ensure!(told.message.contains("the API server fails over it"), "{}", told.message);
        is_abandoned(ns, "w1", "PodRefused").await?;
        Ok(())
    })
    .await
}

/// Kubernetes lists what is wrong in another order each time. A status that follows it would wake
/// its own writer.
#[tokio::test]
async fn a_pod_that_is_refused_for_many_reasons_is_tried_again_with_pauses() -> Result<()> {
    scenario("many-reasons", async |ns| {
        let _controller = controller(ns)?;
        let mark = ns.cluster.audit().mark()?;
        let limits: Map<String, Value> =
            (0..8).map(|number| (format!("example.com/{number}"), json!(1))).collect();
        let mut worker = plain("w1");
        worker["spec"]["template"]["spec"]["resources"] = json!({ "limits": limits });
        ns.create::<DuckWorker>(worker).await?;
        let tries = |event: &&AuditEvent| {
            event.namespace() == ns.name && event.resource() == "pods" && event.verb == "create"
        };
        let four = |events: &[AuditEvent]| events.iter().filter(tries).count() >= 4;
        let events = ns.cluster.audit().await_events(mark, "four tries", four).await?;
        let at: Vec<_> =
            events.iter().filter(tries).map(|event| event.request_received_timestamp).collect();
        // What was written before the first try wakes once, and the condition itself once more.
        let pause = at[3].duration_since(at[0]).as_secs_f64();
        ensure!(pause > 1.0, "four tries in {pause} s");
        let worker = ns.api::<DuckWorker>().get("w1").await?;
        let told = condition(&worker, "PodBlocked").context("a condition")?;
        ensure!(told.message.contains("example.com/0"), "{}", told.message);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_worker_that_crashes_at_its_start_is_abandoned_at_once() -> Result<()> {
    scenario("crash-at-start", async |ns| {
        let _controller = controller(ns)?;
        let crash = json!({ annotation::NEVER_READY: "true", annotation::CRASH_AFTER: "100ms",
            annotation::EXIT_CODE: "3" });
        ns.create::<DuckWorker>(annotated("w1", &crash)).await?;
        is_abandoned(ns, "w1", "Crashed").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_worker_that_is_never_ready_is_abandoned_when_its_time_is_over() -> Result<()> {
    scenario("never-ready", async |ns| {
        let _controller = controller(ns)?;
        let worker = with_annotation("w1", annotation::NEVER_READY, "true");
        let spawning = bring(ns, within(2, worker), "Spawning").await?;
        let retired = is_abandoned(ns, "w1", "StartupTimeout").await?;
        let began = status(&spawning)?.state_since.context("a time")?;
        let ended = status(&retired)?.state_since.context("a time")?;
        let took = ended.duration_since(began).as_secs_f64();
        ensure!((2.0..10.0).contains(&took), "{took} s");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_slow_start_is_waited_for() -> Result<()> {
    scenario("slow-start", async |ns| {
        let _controller = controller(ns)?;
        let worker = with_annotation("w1", annotation::START_DELAY, "2s");
        let idle = bring(ns, within(60, worker), "Idle").await?;
        ensure!(
            condition(&idle, "PodBlocked").is_none(),
            "a container that is created is no trouble"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_quota_is_told_and_once_it_is_raised_the_worker_starts() -> Result<()> {
    scenario("quota", async |ns| {
        forbid_pods(ns, "q").await?;
        let _controller = controller(ns)?;
        ns.create::<DuckWorker>(within(60, plain("w1"))).await?;
        let worker: DuckWorker =
            ns.await_object("w1", "blocked", says("PodBlocked", "QuotaExceeded")).await?;
        ensure!(status(&worker)?.state == "Spawning" && status(&worker)?.pod.is_none());
        await_event(ns, "w1", "PodRefused").await?;
        let raised = Patch::Merge(json!({ "spec": { "hard": { "pods": "10" } } }));
        ns.api::<ResourceQuota>().patch("q", &PatchParams::default(), &raised).await?;
        let idle: DuckWorker = ns.await_object("w1", "Idle", is("Idle")).await?;
        ensure!(condition(&idle, "PodBlocked").is_none(), "it is over");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_quota_that_stays_ends_the_worker_and_its_secret() -> Result<()> {
    scenario("quota-stays", async |ns| {
        forbid_pods(ns, "q").await?;
        let _controller = controller(ns)?;
        let mut worker = within(2, plain("w1"));
        worker["spec"]["ttlSecondsAfterFinished"] = json!(2);
        let created: DuckWorker = ns.create(worker).await?;
        is_abandoned(ns, "w1", "QuotaExceeded").await?;
        // Also one that never had a pod is deleted when it was to be seen for long enough.
        duckworker_e2e::await_gone(&ns.api(), &created).await
    })
    .await
}

#[tokio::test]
async fn a_refusal_by_pod_security_is_told_in_the_servers_words() -> Result<()> {
    scenario("pod-security", async |ns| {
        let enforce = json!({ "metadata": { "labels": {
            "pod-security.kubernetes.io/enforce": "restricted" } } });
        let patch = Patch::Merge(enforce);
        ns.cluster_api::<Namespace>().patch(&ns.name, &PatchParams::default(), &patch).await?;
        let _controller = controller(ns)?;
        bring(ns, plain("good"), "Idle").await?;
        let mut worker = within(3, plain("bad"));
        worker["spec"]["template"]["spec"]["containers"][0]["securityContext"] =
            json!({ "allowPrivilegeEscalation": true });
        ns.create::<DuckWorker>(worker).await?;
        let worker: DuckWorker =
            ns.await_object("bad", "blocked", says("PodBlocked", "PodRefused")).await?;
        let told = condition(&worker, "PodBlocked").context("a condition")?;
        ensure!(told.message.contains("violates PodSecurity \"restricted"), "{}", told.message);
        let retired: DuckWorker = ns.await_object("bad", "Retired", is("Retired")).await?;
        ensure!(reason(&retired) == Some("PodRefused"));
        let event = await_event(ns, "bad", "WorkerAbandoned").await?;
        ensure!(event.contains("violates PodSecurity"), "{event}");
        Ok(())
    })
    .await
}

/// Brings a worker to Idle whose pod takes a second to stop.
async fn idle_that_stops_slowly(ns: &TestNamespace<'_>) -> Result<()> {
    bring(ns, with_annotation("w1", annotation::STOP_DELAY, "1s"), "Idle").await?;
    Ok(())
}

/// Waits until the worker drains for this reason, and then is retired with nothing left.
async fn is_drained(ns: &TestNamespace<'_>, why: &str) -> Result<()> {
    let draining: DuckWorker = ns.await_object("w1", "Draining", is("Draining")).await?;
    ensure!(reason(&draining) == Some(why), "{:?}", reason(&draining));
    ns.await_object::<DuckWorker>("w1", "Retired", is("Retired")).await?;
    nothing_is_left(ns).await
}

#[tokio::test]
async fn a_worker_whose_pod_is_deleted_drains() -> Result<()> {
    scenario("pod-deleted", async |ns| {
        let _controller = controller(ns)?;
        idle_that_stops_slowly(ns).await?;
        ns.api::<Pod>().delete("w1", &DeleteParams::default()).await?;
        is_drained(ns, "PodDeleted").await?;
        await_event(ns, "w1", "WorkerDrained").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_worker_whose_pod_is_evicted_drains() -> Result<()> {
    scenario("evicted", async |ns| {
        let _controller = controller(ns)?;
        idle_that_stops_slowly(ns).await?;
        ns.api::<Pod>().evict("w1", &EvictParams::default()).await?;
        is_drained(ns, "Evicted").await
    })
    .await
}

/// Waits until the worker is lost for this reason, which is for ever.
async fn is_lost(ns: &TestNamespace<'_>, why: &'static str) -> Result<()> {
    let lost: DuckWorker = ns.await_object("w1", "Lost", is("Lost")).await?;
    ensure!(reason(&lost) == Some(why), "{:?}", reason(&lost));
    ensure!(says("Stalled", why)(&lost), "kstatus reads Failed");
    ensure!(condition(&lost, "Ready").is_some_and(|ready| ready.status == "False"));
    await_nothing_left(ns).await?;
    await_event(ns, "w1", "WorkerLost").await?;
    Ok(())
}

#[tokio::test]
async fn a_worker_whose_pod_is_deleted_by_force_is_lost() -> Result<()> {
    scenario("forced", async |ns| {
        let _controller = controller(ns)?;
        bring(ns, plain("w1"), "Idle").await?;
        ns.api::<Pod>().delete("w1", &DeleteParams::default().grace_period(0)).await?;
        is_lost(ns, "PodGone").await
    })
    .await
}

#[tokio::test]
async fn a_worker_that_crashes_is_lost() -> Result<()> {
    scenario("crash", async |ns| {
        let _controller = controller(ns)?;
        bring(ns, with_annotation("w1", annotation::CRASH_AFTER, "1s"), "Idle").await?;
        is_lost(ns, "Crashed").await
    })
    .await
}

#[tokio::test]
async fn a_worker_without_its_secret_drains_and_gets_no_other() -> Result<()> {
    scenario("secret-lost", async |ns| {
        let _controller = controller(ns)?;
        let begin = ns.cluster.audit().mark()?;
        idle_that_stops_slowly(ns).await?;
        ns.api::<Secret>().delete("w1-rpc", &DeleteParams::default()).await?;
        is_drained(ns, "SecretLost").await?;
        await_event(ns, "w1", "SecretLost").await?;
        let made = ns.cluster.audit().since(begin)?.into_iter().filter(|event| {
            event.verb == "create" && event.resource() == "secrets" && event.namespace() == ns.name
        });
        ensure!(made.count() == 1, "a silent new token");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_worker_whose_secret_was_swapped_drains() -> Result<()> {
    scenario("secret-swapped", async |ns| {
        let _controller = controller(ns)?;
        idle_that_stops_slowly(ns).await?;
        swap_secret(ns).await?;
        is_drained(ns, "SecretLost").await
    })
    .await
}

#[tokio::test]
async fn a_secret_that_was_swapped_while_no_controller_ran_is_noticed() -> Result<()> {
    scenario("secret-swapped-unseen", async |ns| {
        let first = controller(ns)?;
        idle_that_stops_slowly(ns).await?;
        first.kill().await;
        swap_secret(ns).await?;
        let _second = controller(ns)?;
        is_drained(ns, "SecretLost").await
    })
    .await
}

/// Another secret in the place of the worker's own, with all our marks on it.
async fn swap_secret(ns: &TestNamespace<'_>) -> Result<()> {
    let secrets = ns.api::<Secret>();
    let mut other = secrets.get("w1-rpc").await?;
    secrets.delete("w1-rpc", &DeleteParams::default()).await?;
    (other.metadata.uid, other.metadata.resource_version) = (None, None);
    secrets.create(&kube::api::PostParams::default(), &other).await?;
    Ok(())
}
