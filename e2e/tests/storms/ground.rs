//! Two controllers and their workers, what is under way when the storm comes, and what must not change.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker::settings::LeaseTimes;
use duckworker_api::DuckWorker;
use duckworker_api::labels::INSTANCE_STATE;
use duckworker_client::Connection;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::recorder::Recorder;
use duckworker_e2e::worker::{self, is};
use duckworker_e2e::{Cluster, SecondApiServer, TestNamespace, annotation, await_gone};
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

/// What the fault model allows from the restart of an API server to new work done.
pub const AFTER_RESTART: Duration = Duration::from_secs(10);

/// How soon after the storm work went on.
#[derive(Debug, Clone, Copy)]
pub struct Calm {
    /// Until a new worker had its pod: so far it is the controllers' doing.
    pub ours: Duration,
    /// Until it was Idle, and what was under way had ended: the scheduler and the node suffered, too.
    pub all: Duration,
}

/// Runs a test in a namespace whose history is recorded, and must keep the rules. People and the
/// recorder ask a second API server, which no storm hits, so that the recording has no gap.
pub async fn recorded<T>(
    cluster: &Cluster,
    name: &str,
    body: impl AsyncFnOnce(&TestNamespace<'_>, &SecondApiServer) -> Result<T>,
) -> Result<T> {
    let second = cluster.start_second_api_server().await?;
    let client = second.identity(cluster.user("admin")?)?.client()?;
    cluster
        .with_namespace(name, async |ns| {
            Recorder::over(&client, &ns.name, async || body(ns, &second).await).await
        })
        .await
}

/// Lets two controllers and their workers go through a storm.
pub async fn live_through(
    name: &str,
    ns: &TestNamespace<'_>,
    connections: [Connection; 2],
    storm: impl AsyncFnOnce() -> Result<()>,
) -> Result<Calm> {
    let mut settings = quick_settings(&ns.name)?;
    settings.lease = TIMES;
    let controllers = connections.map(|c| InProcess::start(settings.clone(), c));
    let names: Vec<String> = (0..WORKERS).map(|number| format!("w{number}")).collect();
    try_join_all(names.iter().map(|name| become_idle(ns, name))).await?;
    let before = standings(ns).await?;

    let under_way = UnderWay::begin(ns).await?;
    storm().await?;
    let begin = Instant::now();
    ns.create::<DuckWorker>(worker::plain("after")).await?;
    ns.await_object::<Pod>("after", "there", |_| true).await?;
    let ours = begin.elapsed();
    ns.await_object::<DuckWorker>("after", "Idle", is("Idle")).await?;
    under_way.end(ns).await?;
    let calm = Calm { ours, all: begin.elapsed() };
    println!(
        "{name}: {ours:?} after the storm the next worker had its pod, {:?} all was done",
        calm.all
    );

    remove(ns, "after").await?;
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
    Ok(calm)
}

/// What is under way when a storm comes: one worker whose pod starts, and one whose pod stops. Both
/// pods take so long that they are done while the storm blows.
struct UnderWay {
    starting: String,
    stopping: DuckWorker,
}

impl UnderWay {
    const DELAY: &str = "3s";

    async fn begin(ns: &TestNamespace<'_>) -> Result<Self> {
        let slow = |name, what| worker::with_annotation(name, what, Self::DELAY);
        let stopping: DuckWorker = ns.create(slow("stopping", annotation::STOP_DELAY)).await?;
        ns.await_object::<DuckWorker>("stopping", "Idle", is("Idle")).await?;
        ns.create::<DuckWorker>(slow("starting", annotation::START_DELAY)).await?;
        let has_pod = |worker: &DuckWorker| pod_uid(worker).is_some();
        let started = ns.await_object("starting", "with a pod", has_pod).await?;
        ns.api::<DuckWorker>().delete("stopping", &DeleteParams::default()).await?;
        let told = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
        ns.await_object::<Pod>("stopping", "told to stop", told).await?;
        let now = ns.api::<DuckWorker>().get("starting").await?;
        ensure!(worker::state(&now) == "Spawning", "it is {} already", worker::state(&now));
        Ok(Self { starting: pod_uid(&started).context("a pod")?, stopping })
    }

    /// One has become Idle with the pod that it had, the other is gone. That none of them had a
    /// second pod is for the history to tell.
    async fn end(self, ns: &TestNamespace<'_>) -> Result<()> {
        let idle = ns.await_object::<DuckWorker>("starting", "Idle", is("Idle")).await?;
        ensure!(pod_uid(&idle).as_ref() == Some(&self.starting), "it has another pod");
        let pod: Pod = ns.api().get("starting").await?;
        ensure!(pod.uid() == Some(self.starting), "there is another pod");
        await_gone(&ns.api(), &self.stopping).await?;
        remove(ns, "starting").await
    }
}

fn pod_uid(worker: &DuckWorker) -> Option<String> {
    Some(worker.status.as_ref()?.pod.as_ref()?.uid.clone())
}

/// Deletes a worker and waits until it is gone.
pub async fn remove(ns: &TestNamespace<'_>, name: &str) -> Result<()> {
    let api = ns.api::<DuckWorker>();
    let worker = api.get(name).await?;
    api.delete(name, &DeleteParams::default()).await?;
    await_gone(&api, &worker).await
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
