//! A node that a test breaks as a whole: not the one that all others share.

use anyhow::Result;
use duckworker_e2e::real::Ran;
use duckworker_e2e::{Cluster, ClusterOptions, TestNamespace};
use tokio::sync::{Mutex, OnceCell};

/// Runs a test on the cluster of those that break its node. They take turns, and each leaves it in
/// a state in which a pod can start.
pub async fn on_a_node_to_break(
    name: &str,
    body: impl AsyncFnOnce(&TestNamespace<'_>) -> Result<()>,
) -> Result<Ran> {
    static TURN: Mutex<()> = Mutex::const_new(());
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    Ran::if_possible(async || {
        let _turn = TURN.lock().await;
        let cluster = CLUSTER.get_or_try_init(start).await?;
        cluster.with_namespace(name, async |ns| Box::pin(body(ns)).await).await
    })
    .await
}

async fn start() -> Result<Cluster> {
    let options = ClusterOptions { simulated_nodes: 0, real_node: true, ..Default::default() };
    let cluster = Cluster::start(options).await?;
    cluster.install_crds().await?;
    Ok(cluster)
}
