//! Nodes under workers: cordoned, gone for good.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::node::{cordon, create_simulated_node, delete_node};
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_e2e::worker::{self, is, reason};
use duckworker_e2e::{TestNamespace, annotation, await_gone};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

/// How long Kubernetes leaves the pods of a deleted node alone.
const QUARANTINE: Duration = Duration::from_secs(40);

/// A worker that runs on this node only.
fn on_node(mut worker: Value, node: &str) -> Value {
    worker["spec"]["template"]["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
    worker
}

#[tokio::test]
async fn a_cordoned_node_is_emptied() -> Result<()> {
    scenario("cordon", async |ns| {
        let node = "sim-cordoned";
        create_simulated_node(ns.client.clone(), node).await?;
        let controller = controller(ns)?;
        ns.create::<DuckWorker>(on_node(worker::plain("w1"), node)).await?;
        ns.await_object::<DuckWorker>("w1", "Idle", is("Idle")).await?;
        cordon(ns.client.clone(), node).await?;
        let draining =
            ns.await_object::<DuckWorker>("w1", "told why", |w| reason(w).is_some()).await?;
        assert_eq!(reason(&draining), Some("NodeCordoned"));
        ns.await_object::<DuckWorker>("w1", "Retired", is("Retired")).await?;
        delete_node(ns.client.clone(), node).await?;
        controller.stop().await
    })
    .await
}

/// A worker on a node of its own that is being deleted, and whose pod was told to stop and never
/// does.
async fn wedged_on(ns: &TestNamespace<'_>, node: &str) -> Result<DuckWorker> {
    create_simulated_node(ns.client.clone(), node).await?;
    let slow = worker::with_annotation("w1", annotation::STOP_DELAY, "1h");
    let created = ns.create::<DuckWorker>(on_node(slow, node)).await?;
    ns.await_object::<DuckWorker>("w1", "Idle", is("Idle")).await?;
    ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
    let told = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    ns.await_object("w1", "told to stop", told).await?;
    Ok(created)
}

#[tokio::test]
async fn a_pod_that_never_stops_goes_when_its_node_is_out_of_service() -> Result<()> {
    scenario("out-of-service", async |ns| {
        let node = "sim-out-of-service";
        let controller = controller(ns)?;
        let wedged = wedged_on(ns, node).await?;
        let taint = json!({ "key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown",
            "effect": "NoExecute" });
        let marked = Patch::Merge(json!({ "spec": { "taints": [taint] } }));
        ns.cluster_api::<Node>().patch(node, &PatchParams::default(), &marked).await?;
        await_gone(&ns.api::<DuckWorker>(), &wedged).await?;
        delete_node(ns.client.clone(), node).await?;
        controller.stop().await
    })
    .await
}

#[tokio::test]
async fn a_pod_that_never_stops_goes_when_its_node_is_deleted() -> Result<()> {
    scenario("node-deleted", async |ns| {
        let node = "sim-deleted";
        let controller = controller(ns)?;
        let wedged = wedged_on(ns, node).await?;
        delete_node(ns.client.clone(), node).await?;
        let deleted = Instant::now();
        await_gone(&ns.api::<DuckWorker>(), &wedged).await?;
        ensure!(deleted.elapsed() < QUARANTINE, "Kubernetes did it, not we");
        controller.stop().await
    })
    .await
}
