//! What bears a worker's name and is somebody else's is left alone; what bears its marks is not
//! trusted for that.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, labels};
use duckworker_e2e::recorder::FORGER;
use duckworker_e2e::scenario::{
    await_event, await_nothing_left, bring, condition, controller, says, scenario, status,
};
use duckworker_e2e::worker::{is, plain, reason};
use duckworker_e2e::{TestNamespace, annotation, await_gone};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// A pod of somebody else, with labels like ours.
fn foreign_pod(name: &str, worker_uid: &str) -> Value {
    json!({
        "metadata": {
            "name": name,
            "labels": { labels::WORKER_NAME: name, labels::WORKER_UID: worker_uid },
            // A simulated kubelet deletes by name alone: it could hit the pod that comes next.
            "annotations": { annotation::STOP_DELAY: "1h" },
        },
        "spec": { "containers": [{ "name": "web", "image": "example.invalid/web:1" }] },
    })
}

/// Waits until the worker says that its name is taken.
async fn conflicts(ns: &TestNamespace<'_>, kind: &str) -> Result<()> {
    let conflict = says("NameConflict", "NameConflict");
    let worker: DuckWorker = ns.await_object("w1", "in conflict", conflict).await?;
    let told = condition(&worker, "NameConflict").context("a condition")?;
    ensure!(told.message.contains(kind) && told.message.contains("delete it"), "{}", told.message);
    ensure!(status(&worker)?.state == "Spawning" && status(&worker)?.pod.is_none());
    await_event(ns, "w1", "NameConflict").await?;
    Ok(())
}

#[tokio::test]
async fn a_pod_of_the_same_name_is_left_alone_and_once_it_is_gone_the_worker_starts() -> Result<()>
{
    scenario("foreign-pod", async |ns| {
        let worker: DuckWorker = ns.create(plain("w1")).await?;
        let uid = worker.uid().context("a uid")?;
        // Labels that name the worker prove nothing.
        let theirs: Pod = ns.create(foreign_pod("w1", &uid)).await?;
        let _controller = controller(ns)?;
        conflicts(ns, "Pod").await?;
        let still = ns.api::<Pod>().get("w1").await?;
        ensure!(still.uid() == theirs.uid() && still.metadata.deletion_timestamp.is_none());
        ns.api::<Pod>().delete("w1", &DeleteParams::default().grace_period(0)).await?;
        let idle: DuckWorker = ns.await_object("w1", "Idle", is("Idle")).await?;
        ensure!(condition(&idle, "NameConflict").is_none(), "it is over");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_of_the_same_name_is_left_alone_and_once_it_is_gone_the_worker_starts()
-> Result<()> {
    scenario("foreign-secret", async |ns| {
        let theirs = json!({ "metadata": { "name": "w1-rpc" }, "stringData": { "a": "b" } });
        let theirs: Secret = ns.create(theirs).await?;
        let _controller = controller(ns)?;
        ns.create::<DuckWorker>(plain("w1")).await?;
        conflicts(ns, "Secret").await?;
        ensure!(ns.api::<Secret>().get("w1-rpc").await?.uid() == theirs.uid());
        ensure!(ns.api::<Pod>().get_opt("w1").await?.is_none(), "no pod without its own secret");
        ns.api::<Secret>().delete("w1-rpc", &DeleteParams::default()).await?;
        let idle: DuckWorker = ns.await_object("w1", "Idle", is("Idle")).await?;
        ensure!(condition(&idle, "NameConflict").is_none(), "it is over");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_conflict_that_stays_ends_the_worker_and_nothing_else() -> Result<()> {
    scenario("foreign-stays", async |ns| {
        let theirs: Pod = ns.create(foreign_pod("w1", "x")).await?;
        let _controller = controller(ns)?;
        let mut worker = plain("w1");
        worker["spec"]["startupTimeoutSeconds"] = json!(2);
        let retired = bring(ns, worker, "Retired").await?;
        ensure!(reason(&retired) == Some("NameConflict"));
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &retired).await?;
        ensure!(ns.api::<Pod>().get("w1").await?.uid() == theirs.uid());
        ensure!(ns.api::<Secret>().get_metadata_opt("w1-rpc").await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_planted_secret_with_our_marks_is_replaced() -> Result<()> {
    scenario("planted-secret", async |ns| {
        let worker: DuckWorker = ns.create(plain("w1")).await?;
        let uid = worker.uid().context("a uid")?;
        let known = "a token that the planter knows";
        let planted = json!({
            "metadata": { "name": "w1-rpc", "labels": {
                labels::WORKER_NAME: "w1", labels::WORKER_UID: uid } },
            "immutable": true,
            "stringData": { labels::UID_KEY: uid, labels::TOKEN_KEY: known },
        });
        let planted: Secret = ns.create(planted).await?;
        let _controller = controller(ns)?;
        ns.await_object::<DuckWorker>("w1", "Idle", is("Idle")).await?;
        let secret = ns.api::<Secret>().get("w1-rpc").await?;
        ensure!(secret.uid() != planted.uid());
        let data: BTreeMap<String, ByteString> = secret.data.unwrap_or_default();
        let token = &data.get(labels::TOKEN_KEY).context("a token")?.0;
        ensure!(token != known.as_bytes() && !token.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_with_our_marks_is_no_second_pod_of_a_worker() -> Result<()> {
    scenario("impostor", async |ns| {
        let _controller = controller(ns)?;
        let idle = bring(ns, plain("w1"), "Idle").await?;
        let mut impostor = ns.api::<Pod>().get("w1").await?;
        ns.api::<Pod>().delete("w1", &DeleteParams::default().grace_period(0)).await?;
        (impostor.metadata.uid, impostor.metadata.resource_version) = (None, None);
        impostor.status = None;
        impostor.metadata.managed_fields = None;
        let as_forger =
            kube::api::PostParams { field_manager: Some(FORGER.to_owned()), ..Default::default() };
        let _ = ns.api::<Pod>().create(&as_forger, &impostor).await?;
        let lost: DuckWorker = ns.await_object("w1", "Lost", is("Lost")).await?;
        ensure!(status(&lost)?.pod == status(&idle)?.pod, "recorded once");
        await_nothing_left(ns).await
    })
    .await
}
