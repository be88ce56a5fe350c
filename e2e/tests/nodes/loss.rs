//! A node that goes silent, and one that is given up: its workers end as soon as that is certain,
//! and no sooner. Each test breaks the real node of a cluster of its own.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::node::delete_node;
use duckworker_e2e::real::stub::{self, ask, containers};
use duckworker_e2e::real::{self, Ran, images};
use duckworker_e2e::scenario::{await_nothing_left, bring, condition, controller, says};
use duckworker_e2e::worker::{is, reason, state};
use duckworker_e2e::{
    Cluster, ClusterOptions, TestNamespace, await_gone, await_object, await_object_within,
};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::DeleteParams;

/// How long Kubernetes leaves the pods of a deleted node alone.
const QUARANTINE: Duration = Duration::from_secs(40);
/// It looks for them every 20 s.
const COLLECTED: Duration = Duration::from_secs(100);

/// Runs a test on a cluster with a real node, where a worker serves in the pod that the test gets.
async fn with_worker(
    name: &str,
    body: impl AsyncFnOnce(&TestNamespace<'_>, Pod) -> Result<()>,
) -> Result<Ran> {
    Ran::if_possible(async || {
        // A simulated node is there as well: a cluster without any node tells nobody much.
        let options = ClusterOptions { real_node: true, ..ClusterOptions::default() };
        let cluster = Cluster::start(options).await?;
        cluster.install_crds().await?;
        cluster.real_node()?.load(&images::stub().await?).await?;
        cluster
            .with_namespace(name, async |ns| {
                let controller = controller(ns)?;
                bring(ns, stub::worker("w1"), "Idle").await?;
                body(ns, ns.api::<Pod>().get("w1").await?).await?;
                controller.stop().await
            })
            .await
    })
    .await
}

/// The kubelet comes back, joins again, and ends what nobody wants any more.
async fn kubelet_returns(ns: &TestNamespace<'_>, containers: &[String]) -> Result<()> {
    let node = ns.cluster.real_node()?;
    node.kubelet().start()?;
    let nodes: Api<Node> = ns.cluster_api();
    await_object(&nodes, real::NAME, "registered again", |_| true).await?;
    let returned = Instant::now();
    node.await_ended(containers).await?;
    eprintln!("what outlived its pod has ended {} ms later", returned.elapsed().as_millis());
    Ok(())
}

#[tokio::test]
async fn workers_of_a_deleted_node_are_lost() -> Result<Ran> {
    with_worker("node-deleted", async |ns, pod| {
        let node = ns.cluster.real_node()?;
        let containers = containers(&pod);
        node.kubelet().kill()?;
        delete_node(ns.client.clone(), real::NAME).await?;
        let deleted = Instant::now();
        let workers = ns.api::<DuckWorker>();
        let lost: DuckWorker =
            await_object_within(COLLECTED, &workers, "w1", "Lost", is("Lost")).await?;
        eprintln!("{:?}: lost {} ms after its node", reason(&lost), deleted.elapsed().as_millis());
        // Kubernetes writes its reason into the pod, and deletes it in the next moment.
        ensure!(matches!(reason(&lost), Some("NodeLost" | "PodGone")), "{:?}", reason(&lost));
        await_nothing_left(ns).await?;
        let outlived = ask(&pod, "GET /").await?;
        ensure!(outlived.contains("stub w1"), "no kubelet could end it: {outlived}");
        kubelet_returns(ns, &containers).await
    })
    .await
}

#[tokio::test]
async fn a_worker_on_a_silent_node_waits_until_the_node_is_given_up() -> Result<Ran> {
    with_worker("node-silent", async |ns, pod| {
        let node = ns.cluster.real_node()?;
        let containers = containers(&pod);
        node.kubelet().kill()?;
        let workers = ns.api::<DuckWorker>();
        let created = workers.get("w1").await?;
        let deleted = Instant::now();
        workers.delete("w1", &DeleteParams::default()).await?;
        let unreachable = says("NodeUnreachable", "PodNotGone");
        let waiting: DuckWorker = ns.await_object("w1", "unreachable", unreachable).await?;
        eprintln!("NodeUnreachable: told after {} ms", deleted.elapsed().as_millis());
        ensure!(state(&waiting) == "Draining", "{}", state(&waiting));
        let sentence = &condition(&waiting, "NodeUnreachable").context("a condition")?.message;
        ensure!(sentence.contains(real::NAME), "{sentence}");
        ensure!(ns.api::<Pod>().get_opt("w1").await?.is_some(), "its process may run on");

        delete_node(ns.client.clone(), real::NAME).await?;
        let given_up = Instant::now();
        await_gone(&workers, &created).await?;
        eprintln!("gone {} ms after its node", given_up.elapsed().as_millis());
        ensure!(given_up.elapsed() < QUARANTINE, "Kubernetes did it, not we");
        await_nothing_left(ns).await?;
        kubelet_returns(ns, &containers).await
    })
    .await
}
