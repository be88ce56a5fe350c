//! The documented way in and out: the commands of `docs/operations.md`, as they stand there, and the
//! samples. What is installed looks to GitOps as it was written.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::install::replica;
use duckworker_e2e::page::{absolute, commands};
use duckworker_e2e::scenario::bring;
use duckworker_e2e::worker::{dedicated, is, plain};
use duckworker_e2e::{Cluster, ClusterOptions, await_gone};
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::ListParams;

async fn run(cluster: &Cluster, heading: &str) -> Result<()> {
    for words in commands(heading, 0)? {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        cluster.kubectl(&words).await?.ok().with_context(|| format!("{words:?}"))?;
    }
    Ok(())
}

/// What was applied, and what the server and the controller made of it, is still the same.
async fn ensure_no_difference(cluster: &Cluster, of: &[&str]) -> Result<()> {
    cluster.kubectl(&[&["diff"], of].concat()).await?.ok().map(drop)
}

#[tokio::test]
async fn nothing_is_left_after_the_documented_commands() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    run(&cluster, "Install").await?;
    let (controller, _) = replica(&cluster, "only", &[]).await?;
    ensure_no_difference(&cluster, &["-f", &absolute("crds/")]).await?;
    ensure_no_difference(&cluster, &["-k", &absolute("config/default")]).await?;
    let ns = cluster.create_namespace("uninstall").await?;
    let samples = ["-n", &ns.name, "-k", &absolute("config/samples")];
    cluster.kubectl(&[&["apply"], &samples[..]].concat()).await?.ok()?;
    ns.await_object::<DuckWorker>("sample-plain", "Idle", is("Idle")).await?;
    ensure_no_difference(&cluster, &samples).await?;
    cluster.kubectl(&[&["delete", "--wait"], &samples[..]].concat()).await?.ok()?;
    bring(&ns, plain("idle"), "Idle").await?;
    bring(&ns, dedicated("hot", "acme"), "Hot").await?;
    let system: Namespace = ns.cluster_api().get("duckworker-system").await?;

    run(&cluster, "Uninstall").await?;
    await_gone(&ns.cluster_api(), &system).await?;
    let (pods, secrets) = (ns.api::<Pod>(), ns.api::<Secret>());
    let all = ListParams::default();
    ensure!(pods.list(&all).await?.items.is_empty(), "pods are left");
    ensure!(secrets.list(&all).await?.items.is_empty(), "secrets are left");
    let definitions: Api<CustomResourceDefinition> = ns.cluster_api();
    ensure!(definitions.list(&all).await?.items.is_empty(), "definitions are left");
    // Its Lease and its rights went with the rest: it has nothing to stop for.
    controller.component().kill()?;
    ns.delete_and_wait().await
}
