//! The parts of a worker's life that are swept.

use anyhow::Result;
use duckworker_api::DuckWorker;
use duckworker_api::labels::FINALIZER;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::DeleteParams;
use kube::runtime::watcher;
use serde_json::{Value, json};
use strum::{Display, EnumIter, EnumString};

use crate::worker::{self, is};
use crate::{TestNamespace, annotation, await_list};

/// The one worker of a run.
pub const WORKER: &str = "w";
/// The secret of that worker.
const SECRET: &str = "w-rpc";

/// A part of a worker's life: what is there before, what happens, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumIter, EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum Flow {
    /// A worker is applied and becomes Idle.
    ApplyToIdle,
    /// A dedicated worker is applied and becomes Hot.
    DedicatedToHot,
    /// An idle worker's process ends: Lost.
    Lost,
    /// An idle worker's secret vanishes: drained and Retired.
    Drain,
    /// Deleted before anyone took it.
    DeletePending,
    /// Deleted while its pod does not become ready.
    DeleteSpawning,
    /// Deleted while idle.
    DeleteIdle,
    /// Deleted while hot.
    DeleteHot,
    /// Deleted while its pod takes its time to stop.
    DeleteDraining,
    /// Deleted when it is retired.
    DeleteRetired,
    /// Deleted when it is lost.
    DeleteLost,
}

impl Flow {
    /// The object is gone at the end.
    pub const fn deletes(self) -> bool {
        !matches!(self, Self::ApplyToIdle | Self::DedicatedToHot | Self::Lost | Self::Drain)
    }

    /// What must be there before the controller starts.
    pub async fn prepare(self, ns: &TestNamespace<'_>) -> Result<()> {
        if self == Self::DeletePending {
            let mut worker = worker::plain(WORKER);
            worker["metadata"]["finalizers"] = json!([FINALIZER]);
            ns.create::<DuckWorker>(worker).await?;
            delete(ns).await?;
        }
        Ok(())
    }

    /// What must have happened before the part that is swept, with the controller's help.
    pub async fn set_up(self, ns: &TestNamespace<'_>) -> Result<()> {
        match self {
            Self::ApplyToIdle | Self::DedicatedToHot | Self::DeletePending => return Ok(()),
            Self::DeleteSpawning => {
                let never = worker::with_annotation(WORKER, annotation::NEVER_READY, "true");
                ns.create::<DuckWorker>(never).await?;
                let has_pod = |w: &DuckWorker| w.status.as_ref().is_some_and(|s| s.pod.is_some());
                ns.await_object::<DuckWorker>(WORKER, "with a pod", has_pod).await?;
            }
            Self::DeleteHot => reach(ns, worker::dedicated(WORKER, "acme"), "Hot").await?,
            Self::DeleteDraining => {
                let slow = worker::with_annotation(WORKER, annotation::STOP_DELAY, "2s");
                reach(ns, slow, "Idle").await?;
                lose_secret(ns).await?;
                ns.await_object::<DuckWorker>(WORKER, "Draining", is("Draining")).await?;
                let stops = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
                ns.await_object::<Pod>(WORKER, "told to stop", stops).await?;
            }
            Self::Lost | Self::Drain | Self::DeleteIdle => {
                reach(ns, worker::plain(WORKER), "Idle").await?;
            }
            Self::DeleteRetired => {
                reach(ns, worker::plain(WORKER), "Idle").await?;
                lose_secret(ns).await?;
                Self::Drain.finish(ns).await?;
            }
            Self::DeleteLost => {
                reach(ns, worker::plain(WORKER), "Idle").await?;
                lose_pod(ns).await?;
                Self::Lost.finish(ns).await?;
            }
        }
        Ok(())
    }

    /// What sets it off.
    pub async fn set_off(self, ns: &TestNamespace<'_>) -> Result<()> {
        match self {
            Self::ApplyToIdle => ns.create::<DuckWorker>(worker::plain(WORKER)).await.map(drop),
            Self::DedicatedToHot => {
                let dedicated = worker::dedicated(WORKER, "acme");
                ns.create::<DuckWorker>(dedicated).await.map(drop)
            }
            Self::Lost => lose_pod(ns).await,
            Self::Drain => lose_secret(ns).await,
            Self::DeletePending => Ok(()),
            _ => delete(ns).await,
        }
    }

    /// Waits for its end.
    pub async fn finish(self, ns: &TestNamespace<'_>) -> Result<()> {
        match self {
            Self::ApplyToIdle => await_state(ns, "Idle").await,
            Self::DedicatedToHot => await_state(ns, "Hot").await,
            Self::Lost => {
                await_state(ns, "Lost").await?;
                await_no_children(ns).await
            }
            Self::Drain => {
                await_state(ns, "Retired").await?;
                await_no_children(ns).await
            }
            _ => await_nothing(ns).await,
        }
    }
}

/// Makes a worker and waits for a state.
async fn reach(ns: &TestNamespace<'_>, worker: Value, state: &'static str) -> Result<()> {
    ns.create::<DuckWorker>(worker).await?;
    await_state(ns, state).await
}

async fn await_state(ns: &TestNamespace<'_>, state: &'static str) -> Result<()> {
    ns.await_object::<DuckWorker>(WORKER, state, is(state)).await.map(drop)
}

async fn await_no_children(ns: &TestNamespace<'_>) -> Result<()> {
    let all = watcher::Config::default();
    await_list(&ns.api::<Pod>(), &all, "gone", <[Pod]>::is_empty).await?;
    await_list(&ns.api::<Secret>(), &all, "gone", <[Secret]>::is_empty).await?;
    Ok(())
}

/// Waits until there are neither workers nor pods nor secrets.
pub async fn await_nothing(ns: &TestNamespace<'_>) -> Result<()> {
    let all = watcher::Config::default();
    await_list(&ns.api::<DuckWorker>(), &all, "gone", <[DuckWorker]>::is_empty).await?;
    await_no_children(ns).await
}

/// Deletes the worker.
pub async fn delete(ns: &TestNamespace<'_>) -> Result<()> {
    ns.api::<DuckWorker>().delete(WORKER, &DeleteParams::background()).await?;
    Ok(())
}

/// Its process ends.
async fn lose_pod(ns: &TestNamespace<'_>) -> Result<()> {
    let failed = r#"{"status":{"phase":"Failed","message":"ended by the sweep"}}"#;
    let patch = ["patch", "pod", WORKER, "--subresource=status", "--type=merge", "-p", failed];
    ns.kubectl(&patch).await?.ok()?;
    Ok(())
}

async fn lose_secret(ns: &TestNamespace<'_>) -> Result<()> {
    ns.api::<Secret>().delete(SECRET, &DeleteParams::default()).await?;
    Ok(())
}
