//! Who may write what, tried with real tokens on the whole installation in `config/default`.
#![allow(clippy::disallowed_methods, reason = "these tests are the clients that ours is not")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod actors;
mod instances;
mod leaving;
mod pools;
mod status;
mod tenants;
mod workers;
#[path = "../support/writes.rs"]
mod writes;

use anyhow::{Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_core::WorkerState;
use duckworker_e2e::{Cluster, TestNamespace};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tokio::sync::OnceCell;

use writes::{Change, create, verdict};

/// The cluster of these tests, with everything of ours installed and in force.
async fn cluster() -> Result<&'static Cluster> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = Cluster::shared().await?;
    let everything = async {
        cluster.install_crds().await?;
        cluster.install_config().await?;
        cluster.with_namespace("in-force", await_policies).await
    };
    INSTALLED.get_or_try_init(|| everything).await?;
    Ok(cluster)
}

/// A policy bites about a second after it was created.
async fn await_policies(ns: &TestNamespace<'_>) -> Result<()> {
    let worker = create(&ns.api(), "probe").await?;
    let nobody = "user:nobody:one";
    let taken = Change { to: WorkerState::Spawning, step: 1, owner: nobody, by: nobody };
    let taken = taken.made(&worker)?;
    let lease: Lease = serde_json::from_value(json!({
        "metadata": { "name": "probe", "labels": { "duckworker.dev/component": "control-plane" } },
    }))?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let (workers, leases): (Api<DuckWorker>, Api<Lease>) = (ns.api(), ns.api());
    until("duckworker-status", async || {
        let answer = workers.replace_status("probe", &dry_run, &taken).await;
        Ok(verdict(answer)?.err().unwrap_or_default())
    })
    .await?;
    until("duckworker-instances", async || {
        Ok(verdict(leases.create(&dry_run, &lease).await)?.err().unwrap_or_default())
    })
    .await?;
    workers::await_policies(ns).await?;
    pools::await_policy(ns).await?;
    tenants::await_policies(ns).await
}

/// Tries again until the policy of this name refuses.
async fn until(policy: &str, attempt: impl AsyncFn() -> Result<String>) -> Result<()> {
    let bites = async {
        while !attempt().await?.contains(policy) {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    let bitten = tokio::time::timeout(duckworker_e2e::PATIENCE, bites).await;
    ensure!(bitten.is_ok(), "{policy} does not bite");
    bitten?
}
