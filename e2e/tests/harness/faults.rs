//! Parts can be broken and mended.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::{Cluster, ClusterOptions, await_object};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

fn maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, "default")
}

async fn create(client: Client, name: &str) -> Result<ConfigMap> {
    let map = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    Ok(maps(client).create(&PostParams::default(), &map).await?)
}

#[tokio::test]
async fn a_paused_etcd_holds_writes_until_it_goes_on() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::api_only()).await?;
    let client = cluster.client()?;
    cluster.etcd().pause()?;
    let mut write = Box::pin(create(client.clone(), "late"));
    let early = tokio::time::timeout(Duration::from_secs(1), &mut write).await;
    ensure!(early.is_err(), "a write was answered without etcd");
    cluster.etcd().resume()?;
    write.await?;
    Ok(())
}

#[tokio::test]
async fn a_killed_api_server_comes_back_on_the_same_etcd() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::api_only()).await?;
    let client = cluster.client()?;
    let before = create(client.clone(), "kept").await?;
    cluster.api_server().kill()?;
    ensure!(maps(client.clone()).get("kept").await.is_err());
    ensure!(cluster.api_server().pid().is_none());
    cluster.api_server().start()?;
    cluster.await_api_server().await?;
    let after = maps(client).get("kept").await?;
    ensure!(after.uid() == before.uid());
    ensure!(after.resource_version() == before.resource_version());
    Ok(())
}

#[tokio::test]
async fn a_second_api_server_shows_the_same_objects() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::api_only()).await?;
    let second = cluster.start_second_api_server().await?;
    let admin = second.identity(cluster.user("admin")?)?;
    create(cluster.client()?, "shared").await?;
    await_object(&maps(admin.client()?), "shared", "there", |_| true).await?;
    // Dead or paused, it is missed by nobody at the first one.
    second.component().pause()?;
    create(cluster.client()?, "alone").await?;
    second.component().resume()?;
    await_object(&maps(admin.client()?), "alone", "there", |_| true).await?;
    Ok(())
}

#[tokio::test]
async fn a_compacted_etcd_has_no_old_versions() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::api_only()).await?;
    let client = cluster.client()?;
    for name in ["one", "two"] {
        create(client.clone(), name).await?;
    }
    let page = maps(client.clone()).list(&ListParams::default().limit(1)).await?;
    let next = page.metadata.continue_.context("one page holds all")?;
    let change = Patch::Merge(json!({"data": {"changed": "yes"}}));
    maps(client.clone()).patch("one", &PatchParams::default(), &change).await?;
    cluster.compact_etcd().await?;
    cluster.api_server().restart()?;
    cluster.await_api_server().await?;
    let next = maps(client).list(&ListParams::default().limit(1).continue_token(&next)).await;
    let gone = matches!(&next, Err(kube::Error::Api(status)) if status.code == 410);
    ensure!(gone, "{next:?}");
    Ok(())
}

#[tokio::test]
async fn a_part_that_cannot_start_says_why() -> Result<()> {
    let options = ClusterOptions {
        api_server_flags: vec!["--no-such-flag".to_owned()],
        ..ClusterOptions::api_only()
    };
    let error = Cluster::start(options).await.err().context("it started")?;
    let message = format!("{error:#}");
    ensure!(message.contains("kube-apiserver has ended"), "{message}");
    ensure!(message.contains("unknown flag: --no-such-flag"), "{message}");
    Ok(())
}
