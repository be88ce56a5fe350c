//! Nodes under workers: cordoned, gone for good.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::claim::{self, bind, claim, worker_of};
use duckworker_e2e::eviction::{Eviction, await_budget, evict};
use duckworker_e2e::node::{cordon, create_simulated_node, delete_node};
use duckworker_e2e::pool::{await_count, pool};
use duckworker_e2e::scenario::{ControlPlane, controller, scenario, status};
use duckworker_e2e::worker::{self, is, reason};
use duckworker_e2e::{TestNamespace, annotation, await_gone};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
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

/// A pool whose pods run on the nodes of this set only.
fn pool_on(name: &str, replicas: i64, set: &str) -> Value {
    let mut pool = pool(name, replicas, 10);
    let spec = &mut pool["spec"]["template"]["spec"]["template"]["spec"];
    spec["nodeSelector"] = json!({ "example.com/set": set });
    pool
}

/// A simulated node of a set.
async fn node_of(ns: &TestNamespace<'_>, node: &str, set: &str) -> Result<()> {
    create_simulated_node(ns.client.clone(), node).await?;
    let label = Patch::Merge(json!({ "metadata": { "labels": { "example.com/set": set } } }));
    ns.cluster_api::<Node>().patch(node, &PatchParams::default(), &label).await?;
    Ok(())
}

/// The workers' pods on a node.
async fn pods_on(ns: &TestNamespace<'_>, node: &str) -> Result<Vec<String>> {
    let selected = ListParams::default()
        .labels("duckworker.dev/pool")
        .fields(&format!("spec.nodeName={node}"));
    let pods = ns.api::<Pod>().list(&selected).await?;
    Ok(pods.items.iter().map(Pod::name_any).collect())
}

async fn drain(ns: &TestNamespace<'_>, node: &str) -> Result<()> {
    let options = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=50s"];
    ns.cluster.kubectl(&[&["drain", node][..], &options].concat()).await?.ok().map(drop)
}

#[tokio::test]
async fn kubectl_drain_of_a_node_with_a_protected_pool_comes_to_an_end() -> Result<()> {
    scenario("drain", async |ns| {
        let (old, new) = ("sim-drained", "sim-successor");
        node_of(ns, old, "drain").await?;
        let controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool_on("p", 2, "drain")).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        let busy = worker_of(&bound)?.to_owned();
        await_count(ns, "p", "Idle", 2).await?;
        await_budget(ns, "p", 3).await?;
        node_of(ns, new, "drain").await?;
        let before = pods_on(ns, old).await?;
        ensure!(before.len() == 3, "{before:?}");
        ensure!(evict(ns, &before[0]).await? == Eviction::Refused);
        drain(ns, old).await?;
        let left = pods_on(ns, old).await?;
        ensure!(left.is_empty(), "{left:?}");
        let drained: DuckWorker = ns.await_object(&busy, "Retired", is("Retired")).await?;
        let mut reasons = status(&drained)?.transitions.iter().map(|t| t.reason.as_deref());
        ensure!(reasons.any(|reason| reason == Some("NodeCordoned")), "{:?}", drained.status);
        let elsewhere = |claim: &DuckWorkerClaim| {
            claim::is("Ready")(claim) && worker_of(claim).is_ok_and(|worker| worker != busy)
        };
        ns.await_object("c", "Ready elsewhere", elsewhere).await?;
        await_count(ns, "p", "Idle", 2).await?;
        ensure!(pods_on(ns, new).await?.len() == 3);
        delete_node(ns.client.clone(), old).await?;
        delete_node(ns.client.clone(), new).await?;
        controller.stop().await
    })
    .await
}

#[tokio::test]
async fn a_control_planes_worker_leaves_a_drained_node() -> Result<()> {
    scenario("drain-held", async |ns| {
        let (old, new) = ("sim-held", "sim-free");
        node_of(ns, old, "held").await?;
        let controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool_on("p", 1, "held")).await?;
        let idle = await_count(ns, "p", "Idle", 1).await?;
        let owner = ControlPlane::register(ns).await?;
        let _lease = owner.serve(&idle[0], "acme").await?;
        await_count(ns, "p", "Idle", 1).await?;
        await_budget(ns, "p", 2).await?;
        node_of(ns, new, "held").await?;
        // The control plane does nothing about it, so its worker's drain time passes first.
        drain(ns, old).await?;
        await_gone(&ns.api::<DuckWorker>(), &idle[0]).await?;
        await_count(ns, "p", "Idle", 1).await?;
        delete_node(ns.client.clone(), old).await?;
        delete_node(ns.client.clone(), new).await?;
        controller.stop().await
    })
    .await
}
