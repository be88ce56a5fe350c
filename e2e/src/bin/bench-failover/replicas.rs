//! Three controllers, each with the token of a pod of the Deployment.

use anyhow::{Context as _, Result};
use duckworker_e2e::bench::ground::{ACCOUNT, Ground, SYSTEM};
use duckworker_e2e::{ControllerProcess, Identity, await_list, pod_is_ready};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};

/// How many there are.
pub const COUNT: usize = 3;

/// The controllers.
pub struct Replicas(Vec<Replica>);

struct Replica {
    identity: Identity,
    process: ControllerProcess,
    owner: String,
}

impl Replicas {
    /// Starts them for one namespace.
    pub async fn start(ground: &Ground, namespace: &str) -> Result<Self> {
        let count = format!("--replicas={COUNT}");
        let scale = ["scale", "-n", SYSTEM, "deployment/duckworker", &count];
        ground.cluster.kubectl(&scale).await?.ok()?;
        let api: Api<Pod> = Api::namespaced(ground.cluster.client()?, SYSTEM);
        let ready = |pods: &[Pod]| pods.len() == COUNT && pods.iter().all(pod_is_ready);
        let pods = await_list(&api, &watcher::Config::default(), "ready", ready).await?;
        let mut replicas = Vec::new();
        for pod in &pods {
            let identity = ground.cluster.service_account(SYSTEM, ACCOUNT, Some(pod)).await?;
            replicas.push(Replica::start(ground, identity, namespace).await?);
        }
        Ok(Self(replicas))
    }

    /// The owner that a replica is.
    pub fn owner(&self, number: usize) -> &str {
        &self.0[number].owner
    }

    /// Ends one as SIGKILL does.
    pub fn kill(&self, number: usize) -> Result<()> {
        self.0[number].process.component().kill()
    }

    /// Tells one to stop, and waits.
    pub async fn stop(&self, number: usize) -> Result<()> {
        self.0[number].process.stop().await
    }

    /// Starts another in the place of one that has ended.
    pub async fn replace(&mut self, number: usize, ground: &Ground, namespace: &str) -> Result<()> {
        let identity = self.0[number].identity.clone();
        self.0[number] = Replica::start(ground, identity, namespace).await?;
        Ok(())
    }
}

impl Replica {
    async fn start(ground: &Ground, identity: Identity, namespace: &str) -> Result<Self> {
        let client = ground.cluster.client()?;
        let before = owners(&client).await?;
        let process = ground.controller("controller", &identity, namespace).await?;
        let after = owners(&client).await?;
        let owner = after.into_iter().find(|owner| !before.contains(owner));
        Ok(Self { identity, process, owner: owner.context("a controller without a Lease")? })
    }
}

/// Whoever has a Lease.
async fn owners(client: &Client) -> Result<Vec<String>> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), SYSTEM);
    let leases = leases.list(&ListParams::default()).await?;
    let ours = leases.items.into_iter().filter(|lease| lease.name_any().starts_with("duckworker-"));
    Ok(ours.filter_map(|lease| lease.spec?.holder_identity).collect())
}
