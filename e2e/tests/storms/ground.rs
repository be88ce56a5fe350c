//! Two controllers and their workers, and what must not change.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use duckworker::settings::LeaseTimes;
use duckworker_api::DuckWorker;
use duckworker_api::labels::INSTANCE_STATE;
use duckworker_client::Connection;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::worker::{self, is};
use duckworker_e2e::{TestNamespace, await_gone};
use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};

/// How many workers live through each storm.
pub const WORKERS: usize = 6;
/// How long a storm lasts: longer than any Lease below, 5 s unless `DUCKWORKER_STORM_SECONDS` says
/// otherwise.
///
/// # Errors
/// When that is no number.
pub fn storm_time() -> Result<Duration> {
    let seconds = std::env::var("DUCKWORKER_STORM_SECONDS").unwrap_or_else(|_| "5".to_owned());
    Ok(Duration::from_secs(seconds.parse()?))
}

/// Short Leases, so that a storm of seconds would expire whoever took it for a death.
pub const TIMES: LeaseTimes = LeaseTimes {
    renew: Duration::from_millis(500),
    pause: Duration::from_secs(2),
    expire: Duration::from_secs(3),
};

/// What must not change.
#[derive(Debug, PartialEq)]
pub struct Standing {
    pub state: String,
    pub owner: Option<String>,
    pub epoch: Option<i64>,
    pub pod: Option<String>,
}

/// Lets two controllers and their workers go through a storm.
pub async fn live_through(
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
    ns.create::<DuckWorker>(worker::plain("after")).await?;
    // From here on the scheduler and the node have their say, which suffered as well.
    ns.await_object::<Pod>("after", "there", |_| true).await?;
    let ours = calm.elapsed().as_millis();
    ns.await_object::<DuckWorker>("after", "Idle", is("Idle")).await?;
    let all = calm.elapsed().as_millis();
    println!("{name}: {ours} ms after the storm the next worker had its pod, {all} ms after Idle");

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

pub async fn become_idle(ns: &TestNamespace<'_>, name: &str) -> Result<()> {
    ns.create::<DuckWorker>(worker::plain(name)).await?;
    ns.await_object::<DuckWorker>(name, "Idle", is("Idle")).await.map(drop)
}

pub async fn standings(ns: &TestNamespace<'_>) -> Result<Vec<(String, Standing)>> {
    let workers = ns.api::<DuckWorker>().list(&ListParams::default()).await?;
    let standing = |worker: &DuckWorker| {
        let status = worker.status.clone()?;
        let pod = status.pod.map(|pod| pod.uid);
        let (state, owner, epoch) = (status.state, status.owner, status.owner_epoch);
        Some((worker.name_any(), Standing { state, owner, epoch, pod }))
    };
    Ok(workers.iter().filter_map(standing).collect())
}
