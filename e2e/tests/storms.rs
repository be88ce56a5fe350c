//! Storms: what a fleet goes through when its API server, its store or its rights are away for a
//! while. Whatever the storm: no worker is touched, no instance is taken for dead, nothing leaks,
//! and work goes on soon after.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use duckworker::settings::LeaseTimes;
use duckworker_api::DuckWorker;
use duckworker_api::labels::INSTANCE_STATE;
use duckworker_client::Connection;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::worker::{self, is};
use duckworker_e2e::{Cluster, ClusterOptions, TestNamespace, await_gone};
use duckworker_faults::{Fault, Faults, Refusal};
use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};

/// How many workers live through each storm.
const WORKERS: usize = 6;
/// How long a storm lasts: longer than any Lease below.
const STORM: Duration = Duration::from_secs(5);
/// Short Leases, so that a storm of seconds would expire whoever took it for a death.
const TIMES: LeaseTimes = LeaseTimes {
    renew: Duration::from_millis(500),
    pause: Duration::from_secs(2),
    expire: Duration::from_secs(3),
};

/// What must not change.
#[derive(Debug, PartialEq)]
struct Standing {
    state: String,
    owner: Option<String>,
    epoch: Option<i64>,
    pod: Option<String>,
}

/// Lets two controllers and their workers go through a storm.
async fn live_through(
    name: &str,
    ns: &TestNamespace<'_>,
    connections: [Connection; 2],
    storm: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let mut settings = quick_settings(&ns.name)?;
    settings.lease = TIMES;
    let controllers = connections.map(|c| InProcess::start(settings.clone(), c));
    let names: Vec<String> = (0..WORKERS).map(|number| format!("w{number}")).collect();
    try_join_all(names.iter().map(|name| become_idle(ns, name))).await?;
    let before = standings(ns).await?;

    storm().await?;
    let calm = Instant::now();
    become_idle(ns, "after").await?;
    println!("{name}: the next worker was Idle {} ms after the storm", calm.elapsed().as_millis());

    let api = ns.api::<DuckWorker>();
    let newcomer = api.get("after").await?;
    api.delete("after", &DeleteParams::default()).await?;
    await_gone(&api, &newcomer).await?;
    let after = standings(ns).await?;
    ensure!(after == before, "the storm changed {before:?} to {after:?}");
    ensure!(controllers.iter().all(InProcess::lives), "a controller has ended");
    let all = ListParams::default();
    let leases = ns.api::<Lease>().list(&all.clone().labels(INSTANCE_STATE)).await?;
    let states: Vec<_> = leases.iter().filter_map(|l| l.labels().get(INSTANCE_STATE)).collect();
    ensure!(states == ["active", "active"], "the instances are {states:?}");
    let (pods, secrets) = (ns.api::<Pod>().list(&all).await?, ns.api::<Secret>().list(&all).await?);
    let left = (pods.items.len(), secrets.items.len());
    ensure!(left == (WORKERS, WORKERS), "{left:?} pods and secrets for {WORKERS} workers");
    Ok(())
}

async fn become_idle(ns: &TestNamespace<'_>, name: &str) -> Result<()> {
    ns.create::<DuckWorker>(worker::plain(name)).await?;
    ns.await_object::<DuckWorker>(name, "Idle", is("Idle")).await.map(drop)
}

async fn standings(ns: &TestNamespace<'_>) -> Result<Vec<(String, Standing)>> {
    let workers = ns.api::<DuckWorker>().list(&ListParams::default()).await?;
    let standing = |worker: &DuckWorker| {
        let status = worker.status.clone()?;
        let pod = status.pod.map(|pod| pod.uid);
        let (state, owner, epoch) = (status.state, status.owner, status.owner_epoch);
        Some((worker.name_any(), Standing { state, owner, epoch, pod }))
    };
    Ok(workers.iter().filter_map(standing).collect())
}

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
        tokio::time::sleep(STORM).await;
        cluster.api_server().start()?;
        cluster.await_api_server().await
    })
    .await
}

#[tokio::test]
async fn etcd_stands_still() -> Result<()> {
    over_a_cluster("etcd-stands-still", async |cluster| {
        cluster.etcd().pause()?;
        tokio::time::sleep(STORM).await;
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

/// A storm of refusals under both controllers' clients, on the shared cluster.
async fn of_refusals(name: &str, refusal: Refusal) -> Result<()> {
    duckworker_e2e::scenario::scenario(name, async |ns| {
        let blows = Arc::new(AtomicBool::new(false));
        let client = || {
            let blows = Arc::clone(&blows);
            let faults = Faults::by(move |_, _: &_| {
                blows.load(Ordering::SeqCst).then_some(Fault::Refuse(refusal))
            });
            Connection::with_layer(ns.cluster.config()?, &faults.layer())
                .map_err(anyhow::Error::from)
        };
        let connections = [client()?, client()?];
        live_through(name, ns, connections, async || {
            blows.store(true, Ordering::SeqCst);
            tokio::time::sleep(STORM).await;
            blows.store(false, Ordering::SeqCst);
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn every_call_is_throttled() -> Result<()> {
    of_refusals("throttled-429", Refusal::TooManyRequests { retry_after: 1 }).await
}

#[tokio::test]
async fn the_token_is_not_taken() -> Result<()> {
    of_refusals("unauthorized-401", Refusal::Unauthorized).await
}

#[tokio::test]
async fn the_rights_are_taken_away_and_given_back() -> Result<()> {
    of_refusals("forbidden-403", Refusal::Forbidden).await
}

#[tokio::test]
async fn nothing_but_errors_comes_back() -> Result<()> {
    of_refusals("unavailable-503", Refusal::Unavailable).await
}
