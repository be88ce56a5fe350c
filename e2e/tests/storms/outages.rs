//! The API server or its store is away.

use anyhow::Result;
use duckworker_client::Connection;
use duckworker_e2e::{Cluster, ClusterOptions};

use crate::ground::{live_through, storm_time};

/// A storm over a cluster of its own, as the controllers meet it.
async fn over_a_cluster(name: &str, storm: impl AsyncFnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    cluster.install_crds().await?;
    cluster
        .with_namespace(name, async |ns| {
            let connections =
                [Connection::new(cluster.config()?)?, Connection::new(cluster.config()?)?];
            live_through(name, ns, connections, async || storm(&cluster).await).await
        })
        .await
}

#[tokio::test]
async fn the_api_server_is_killed_and_comes_back() -> Result<()> {
    over_a_cluster("api-server-killed", async |cluster| {
        cluster.api_server().kill()?;
        tokio::time::sleep(storm_time()?).await;
        cluster.api_server().start()?;
        cluster.await_api_server().await
    })
    .await
}

#[tokio::test]
async fn etcd_stands_still() -> Result<()> {
    over_a_cluster("etcd-stands-still", async |cluster| {
        cluster.etcd().pause()?;
        tokio::time::sleep(storm_time()?).await;
        cluster.etcd().resume()
    })
    .await
}

#[tokio::test]
async fn the_history_is_compacted_under_the_watches() -> Result<()> {
    over_a_cluster("compacted", async |cluster| {
        cluster.compact_etcd().await?;
        cluster.api_server().restart()?;
        cluster.await_api_server().await
    })
    .await
}
