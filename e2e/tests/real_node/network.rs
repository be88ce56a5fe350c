//! A network that breaks between the controller and a worker.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::real::Ran;
use duckworker_e2e::real::duckdb::{dedicated, load, tenant};
use duckworker_e2e::real::stub::containers;
use duckworker_e2e::scenario::{await_event, await_nothing_left, condition, controller};
use duckworker_e2e::worker::{is, reason};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::DeleteParams;

use super::broken::on_a_node_to_break;

/// Three health checks, a second apart, each of which waits two seconds in vain; and much more, but
/// less than it takes until connections are given up.
const NOTICED: Duration = Duration::from_secs(30);

/// All pods of the node are cut off.
#[tokio::test]
async fn a_worker_that_nobody_reaches_is_lost_and_leaves_nothing() -> Result<Ran> {
    on_a_node_to_break("cut-off", story).await
}

async fn story(ns: &TestNamespace<'_>) -> Result<()> {
    load(ns).await?;
    let controller = controller(ns)?;
    tenant(ns, "acme", "").await?;
    ns.create::<DuckWorker>(dedicated("w1", "acme")).await?;
    ns.await_object("w1", "Hot", is("Hot")).await?;
    let pod: Pod = ns.api().get("w1").await?;
    let containers = containers(&pod);
    ensure!(containers.len() == 1, "{containers:?}");

    let node = ns.cluster.real_node()?;
    node.cut_pods_off().await?;
    let cut = Instant::now();
    let lost: DuckWorker = ns.await_object("w1", "Lost", is("Lost")).await?;
    let took = cut.elapsed();
    eprintln!("a worker behind a broken network is lost after {} ms", took.as_millis());
    ensure!(took < NOTICED, "noticed after {took:?}");
    ensure!(reason(&lost) == Some("Unhealthy"), "{:?}", reason(&lost));
    ensure!(condition(&lost, "Stalled").is_some_and(|stalled| stalled.status == "True"));
    await_event(ns, "w1", "WorkerLost").await?;
    // The kubelet still hears of it, so what nobody reaches does not run on.
    ns.api::<Secret>().delete("acme-activation", &DeleteParams::default()).await?;
    await_nothing_left(ns).await?;
    node.await_ended(&containers).await?;
    controller.stop().await
}
