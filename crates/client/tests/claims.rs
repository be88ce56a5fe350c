//! The connection secret of a claim, where another one has its name already.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use anyhow::{Context as _, Result, ensure};
use common::{NAMESPACE, Plane};
use duckworker_api::{DuckWorkerClaim, samples};
use duckworker_client::claims::Connected;
use duckworker_client::{ClaimSnapshot, ClaimStore, Error, WorkerSnapshot};
use duckworker_sim::SimCluster;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Resource, ResourceExt as _};
use serde_json::json;

const SECRET: &str = "sample-conn";

/// A claim, a worker with its secret, and who connects them. There is no garbage collector.
struct Scene {
    store: ClaimStore,
    claims: Api<DuckWorkerClaim>,
    secrets: Api<Secret>,
    worker: WorkerSnapshot,
}

impl Scene {
    async fn set() -> Result<Self> {
        let cluster = SimCluster::new(1);
        let plane = Plane::register(&cluster, "plane-0").await?;
        let worker = plane.with_pod("w1").await?;
        let lifecycle = &plane.lifecycle;
        let store = ClaimStore::new(lifecycle.store().clone(), lifecycle.instance().clone());
        let claims = Api::namespaced(cluster.admin(), NAMESPACE);
        let secrets = Api::namespaced(cluster.admin(), NAMESPACE);
        Ok(Self { store, claims, secrets, worker })
    }

    /// Makes the claim, and reads it as its binder does.
    async fn claim(&self) -> Result<ClaimSnapshot> {
        self.claims.create(&PostParams::default(), &samples::claim()).await?;
        self.store.observe(NAMESPACE, "sample").await?.context("a claim")
    }

    async fn end(&self) -> Result<()> {
        self.claims.delete("sample", &DeleteParams::default()).await?;
        Ok(())
    }

    async fn connect(&self, claim: &ClaimSnapshot) -> Result<Connected, Error> {
        self.store.connect(claim, &self.worker).await
    }

    /// The uid of whom the secret belongs to.
    async fn owner(&self) -> Result<String> {
        let secret = self.secrets.get(SECRET).await?;
        let owner = secret.owner_references().first().context("an owner")?;
        Ok(owner.uid.clone())
    }
}

fn uid(claim: &ClaimSnapshot) -> &str {
    claim.claim().key.uid.as_str()
}

#[tokio::test]
async fn what_an_earlier_claim_of_the_name_left_is_replaced() -> Result<()> {
    let scene = Scene::set().await?;
    let first = scene.claim().await?;
    ensure!(scene.connect(&first).await? == Connected::Yes);
    scene.end().await?;
    let second = scene.claim().await?;
    ensure!(scene.owner().await? == uid(&first), "nobody collects it");
    ensure!(scene.connect(&second).await? == Connected::Yes);
    ensure!(scene.owner().await? == uid(&second));
    // Once more, as after a lost answer: it stays.
    let made = scene.secrets.get(SECRET).await?;
    ensure!(scene.connect(&second).await? == Connected::Yes);
    ensure!(scene.secrets.get(SECRET).await?.uid() == made.uid());
    Ok(())
}

#[tokio::test]
async fn a_late_binder_leaves_the_secret_of_a_later_claim_alone() -> Result<()> {
    let scene = Scene::set().await?;
    let first = scene.claim().await?;
    scene.end().await?;
    let second = scene.claim().await?;
    ensure!(scene.connect(&second).await? == Connected::Yes);
    ensure!(scene.connect(&first).await.is_err(), "its claim has ended");
    ensure!(scene.owner().await? == uid(&second));
    Ok(())
}

#[tokio::test]
async fn a_stranger_s_secret_is_left_alone() -> Result<()> {
    let scene = Scene::set().await?;
    let claim = scene.claim().await?;
    let owner = |kind: &str, name: &str| {
        let version = DuckWorkerClaim::api_version(&());
        json!({ "apiVersion": version, "kind": kind, "name": name, "uid": "u" })
    };
    let kind = DuckWorkerClaim::kind(&());
    let strangers = [
        json!([]),
        json!([owner("DuckWorker", "sample")]),
        json!([owner(&kind, "other")]),
        json!([owner(&kind, "sample"), owner("DuckWorker", "sample")]),
    ];
    for owners in strangers {
        let secret = json!({ "metadata": { "name": SECRET, "ownerReferences": owners } });
        let secret: Secret = serde_json::from_value(secret)?;
        let secret = scene.secrets.create(&PostParams::default(), &secret).await?;
        ensure!(scene.connect(&claim).await? == Connected::Foreign, "{owners}");
        ensure!(scene.secrets.get(SECRET).await?.uid() == secret.uid(), "{owners}");
        scene.secrets.delete(SECRET, &DeleteParams::default()).await?;
    }
    Ok(())
}
