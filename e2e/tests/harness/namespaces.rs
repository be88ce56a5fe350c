//! Each test has its namespace, which goes however the test ends.

use std::panic::AssertUnwindSafe;

use anyhow::{Context as _, Result, bail, ensure};
use duckworker_e2e::{Cluster, TEST_LABEL, await_object};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, ResourceExt as _};

use crate::pod;

#[tokio::test]
async fn a_namespace_bears_the_name_of_its_test() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let name = cluster
        .with_namespace("Some_Test::name", async |ns| {
            let namespace = ns.cluster_api::<Namespace>().get(&ns.name).await?;
            ensure!(
                namespace.labels().get(TEST_LABEL).map(String::as_str) == Some("some-test--name")
            );
            Ok(ns.name.clone())
        })
        .await?;
    await_deletion(cluster, &name).await
}

#[tokio::test]
async fn a_namespace_goes_when_its_test_fails() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let mut name = String::new();
    let outcome: Result<()> = cluster
        .with_namespace("fails", async |ns| {
            name.clone_from(&ns.name);
            bail!("on purpose: the report above belongs to a test of the report")
        })
        .await;
    ensure!(outcome.is_err());
    await_deletion(cluster, &name).await
}

#[tokio::test]
async fn a_namespace_goes_when_its_test_panics() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let mut name = String::new();
    let test = cluster.with_namespace("panics", async |ns| {
        name.clone_from(&ns.name);
        assert!(name.is_empty(), "on purpose: the report below belongs to a test of the report");
        Ok(())
    });
    ensure!(AssertUnwindSafe(test).catch_unwind().await.is_err());
    await_deletion(cluster, &name).await
}

#[tokio::test]
async fn a_namespace_can_be_seen_gone() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let ns = cluster.create_namespace("gone").await?;
    ns.create::<Pod>(pod("inhabitant", &[])).await?;
    ns.delete_and_wait().await?;
    ensure!(ns.cluster_api::<Namespace>().get_opt(&ns.name).await?.is_none());
    Ok(())
}

/// Waits until a namespace is on its way out, or out.
async fn await_deletion(cluster: &Cluster, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client()?);
    if namespaces.get_opt(name).await?.is_some() {
        let deleted = |namespace: &Namespace| namespace.metadata.deletion_timestamp.is_some();
        await_object(&namespaces, name, "being deleted", deleted).await.context("left behind")?;
    }
    Ok(())
}
