//! The demo on a cluster of a person's own. The demo on an embedded one is the README's first command,
//! which `.ci/run` runs as it is.

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::{Cluster, ClusterOptions};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::ListParams;
use tokio::process::Command;

#[tokio::test]
async fn on_a_cluster_of_one_s_own_it_passes_and_leaves_nothing_behind() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let kubectl = cluster.kubectl_path();
    let folder = kubectl.parent().context("kubectl is in a folder")?;
    let path = std::env::var("PATH")?;
    let demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(["--context", "duckworker"])
        .env("KUBECONFIG", cluster.kubeconfig()?)
        .env("PATH", format!("{}:{path}", folder.display()))
        .kill_on_drop(true)
        .output()
        .await?;
    let shown = String::from_utf8_lossy(&demo.stdout);
    ensure!(demo.status.success(), "{shown}\n{}", String::from_utf8_lossy(&demo.stderr));
    ensure!(shown.contains("demo passed"), "{shown}");
    ensure!(shown.contains("NO SQL HERE"), "it says what it cannot show: {shown}");

    let client = cluster.client()?;
    let all = ListParams::default();
    let pods = Api::<Pod>::all(client.clone()).list(&all).await?;
    ensure!(pods.items.is_empty(), "{} pods are left", pods.items.len());
    let spaces = Api::<Namespace>::all(client).list(&all).await?;
    let names: Vec<_> = spaces.iter().filter_map(|space| space.metadata.name.as_deref()).collect();
    ensure!(!names.iter().any(|name| name.starts_with("duckworker-demo")), "{names:?}");
    Ok(())
}
