//! The loss of a worker that a real node ran: how soon it is noticed, what is said of it, and that
//! nothing is left.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, parse};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use rustix::process::{Pid, Signal, kill_process};

use super::stub::containers;
use crate::{
    TestNamespace,
    ready::until_it_answers,
    scenario::{await_event, await_nothing_left, condition},
    worker::{is, reason},
};

/// From the end of a process to the kubelet's word of it, and then to ours. The kubelet looks once
/// a second.
pub const BY_THE_KUBELET: Duration = Duration::from_secs(5);

/// What must come of a fault.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// What befell the worker `w1`.
    pub fault: &'static str,
    /// The reason in its record and in its condition.
    pub reason: &'static str,
    /// What the Event says.
    pub sentence: &'static str,
    /// How soon it is noticed.
    pub within: Duration,
}

impl Loss {
    /// Waits until the worker is lost for this reason and says so, and prints a line of a table.
    ///
    /// # Errors
    /// What is otherwise.
    pub async fn is_told(&self, ns: &TestNamespace<'_>, since: Instant) -> Result<()> {
        let lost: DuckWorker = ns.await_object("w1", "Lost", is("Lost")).await?;
        let took = since.elapsed();
        let Self { fault, reason: why, sentence, within } = *self;
        let (took_ms, within_ms) = (took.as_millis(), within.as_millis());
        eprintln!("| {fault} | Lost | {why} | {sentence} | {took_ms} ms of {within_ms} ms |");
        ensure!(reason(&lost) == Some(why), "{:?}", reason(&lost));
        ensure!(took < within, "noticed after {took:?}");
        let stalled = condition(&lost, "Stalled").context("no condition says why")?;
        ensure!(stalled.status == "True" && stalled.reason == why, "{stalled:?}");
        let ready = condition(&lost, "Ready").context("not to be seen whether it is Ready")?;
        ensure!(ready.status == "False", "{ready:?}");
        let told = await_event(ns, "w1", "WorkerLost").await?;
        ensure!(told.contains(sentence), "{told}");
        Ok(())
    }

    /// The same; and then nothing is left of it.
    ///
    /// # Errors
    /// What is otherwise, or left.
    pub async fn is_all(&self, ns: &TestNamespace<'_>, since: Instant, pod: &Pod) -> Result<()> {
        self.is_told(ns, since).await?;
        await_no_trace(ns, pod).await
    }
}

/// Waits until there is neither pod nor secret in the namespace, and nothing of this pod on the
/// node: no container that runs, and no folder with its volumes.
///
/// # Errors
/// What is left after a minute.
pub async fn await_no_trace(ns: &TestNamespace<'_>, pod: &Pod) -> Result<()> {
    await_nothing_left(ns).await?;
    ns.cluster.real_node()?.await_ended(&containers(pod)).await?;
    let uid = pod.uid().context("a pod without a uid")?;
    let folder = ns.cluster.state_folder().join("kubelet/pods").join(uid);
    until_it_answers("the kubelet's tidying up", async || {
        ensure!(!folder.exists(), "there still is {}", folder.display());
        Ok(())
    })
    .await
}

/// How long the health check of a worker may take to find out that it does not answer: each check
/// that fails may use up its time, and waits for its turn.
///
/// # Errors
/// When the worker cannot be read.
pub fn by_health_check(worker: &DuckWorker) -> Result<Duration> {
    /// The loop looks for checks that are due twice a second; the rest is for the write.
    const MARGIN: Duration = Duration::from_secs(2);
    let terms = parse::worker(worker)?.spec.health;
    Ok((terms.period + terms.timeout) * terms.threshold + MARGIN)
}

/// Sends a signal to all processes of a pod's only container.
///
/// # Errors
/// When there are none.
pub fn signal(ns: &TestNamespace<'_>, pod: &Pod, signal: Signal) -> Result<()> {
    let containers = containers(pod);
    ensure!(containers.len() == 1, "{containers:?}");
    let processes = ns.cluster.real_node()?.processes(&containers[0])?;
    ensure!(!processes.is_empty(), "no process in {containers:?}");
    for process in processes {
        kill_process(Pid::from_raw(process.try_into()?).context("no process id")?, signal)?;
    }
    Ok(())
}
