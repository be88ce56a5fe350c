//! Nothing is left of a real node, however its test process ends. These have clusters of their own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::real::stub::{self, containers};
use duckworker_e2e::real::{Ran, images};
use duckworker_e2e::{Cluster, ClusterOptions, pod_is_ready};
use k8s_openapi::api::core::v1::Pod;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The word after which the child process below tells what must be gone after its death.
const LINE: &str = "traces: ";
/// The kernel takes namespaces apart after the death of their last process, and nothing tells when
/// it is done.
const LIMIT: Duration = Duration::from_secs(10);

/// What a cluster with a pod on a real node has on the machine.
#[derive(Debug, Serialize, Deserialize)]
struct Traces {
    folder: PathBuf,
    link: String,
    control_group: String,
    /// Parts of the cluster, the sweeper last.
    parts: Vec<u32>,
    /// Processes of the pod.
    pod: Vec<u32>,
}

impl Traces {
    /// What there is of them at this moment.
    fn left(&self) -> Vec<String> {
        let processes = self.parts.iter().chain(&self.pod);
        let processes = processes.map(|pid| PathBuf::from(format!("/proc/{pid}")));
        let link = Path::new("/sys/class/net").join(&self.link);
        let left: Vec<_> = processes.chain([link, self.folder.clone()]).collect();
        let mut left: Vec<_> = left
            .into_iter()
            .filter(|path| path.exists())
            .map(|path| path.display().to_string())
            .collect();
        for controller in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let group = controller.path().join(&self.control_group);
            left.extend(group.exists().then(|| group.display().to_string()));
        }
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let folder = self.folder.display().to_string();
        left.extend(mounts.lines().filter(|line| line.contains(&folder)).map(str::to_owned));
        left
    }

    async fn await_gone(&self) -> Result<()> {
        let started = Instant::now();
        while !self.left().is_empty() {
            ensure!(started.elapsed() < LIMIT, "left: {}", self.left().join("\n"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        eprintln!("nothing is left after {} ms", started.elapsed().as_millis());
        Ok(())
    }
}

/// A cluster with one pod that runs.
async fn with_pod() -> Result<(Cluster, Traces)> {
    let options = ClusterOptions { simulated_nodes: 0, real_node: true, ..Default::default() };
    let cluster = Cluster::start(options).await?;
    let node = cluster.real_node()?;
    node.load(&images::stub().await?).await?;
    let ns = cluster.create_namespace("leftovers").await?;
    ns.create::<Pod>(json!({
        "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "stub", "image": images::STUB }] },
    }))
    .await?;
    let pod: Pod = ns.await_object("p", "Ready", pod_is_ready).await?;
    let container = containers(&pod).pop().context("no container")?;
    stub::await_serving(&pod).await?;
    let (link, control_group) = node.traces();
    let folder = cluster.state_folder().to_owned();
    let (parts, pod) = (cluster.pids(), node.processes(&container)?);
    Ok((cluster, Traces { folder, link, control_group, parts, pod }))
}

/// Starts a test of this file that never ends, and waits until its cluster has its pod.
fn start_victim() -> Result<(Child, Traces)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "leftovers::is_killed_by_tests_above", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().context("no output")?);
    let line = output.lines().map_while(Result::ok).find_map(|line| {
        let (_, told) = line.split_once(LINE)?;
        Some(told.to_owned())
    });
    let traces: Traces =
        serde_json::from_str(&line.context("the child process started no cluster")?)?;
    ensure!(traces.left().len() > 10, "a cluster is to be seen: {:?}", traces.left());
    Ok((child, traces))
}

#[tokio::test]
async fn nothing_is_left_after_a_stop() -> Result<Ran> {
    Ran::if_possible(async || {
        let (cluster, traces) = with_pod().await?;
        ensure!(traces.left().len() > 10, "a cluster is to be seen: {:?}", traces.left());
        cluster.stop();
        traces.await_gone().await
    })
    .await
}

#[tokio::test]
async fn nothing_is_left_after_a_sigkill() -> Result<Ran> {
    Ran::if_possible(async || {
        let (mut child, traces) = start_victim()?;
        child.kill()?;
        child.wait()?;
        traces.await_gone().await
    })
    .await
}

#[tokio::test]
async fn what_a_dead_run_left_is_removed_by_the_next_start() -> Result<Ran> {
    Ran::if_possible(async || {
        let (mut child, traces) = start_victim()?;
        // Its sweeper as well, so that nobody is left to clean up.
        let sweeper = *traces.parts.last().context("a sweeper")?;
        let sweeper = Pid::from_raw(sweeper.try_into()?).context("no process id")?;
        kill_process(sweeper, Signal::KILL)?;
        child.kill()?;
        child.wait()?;
        let left = traces.left();
        let lies = |what: &str| left.iter().any(|trace| trace.contains(what));
        ensure!(lies("/sys/fs/cgroup") && traces.folder.exists(), "nobody could remove: {left:?}");
        Cluster::start(ClusterOptions::api_only()).await?.stop();
        // Processes of the node may have been dying still when the first one looked.
        if !traces.left().is_empty() {
            Cluster::start(ClusterOptions::api_only()).await?.stop();
        }
        traces.await_gone().await
    })
    .await
}

#[tokio::test]
#[ignore = "started, and killed, by the tests above"]
async fn is_killed_by_tests_above() -> Result<()> {
    let (_cluster, traces) = with_pod().await?;
    println!("{LINE}{}", serde_json::to_string(&traces)?);
    std::future::pending().await
}
