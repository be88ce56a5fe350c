//! What is swept: parts of the life of a worker, a pool and a claim.

use anyhow::Result;
use duckworker_api::labels::FINALIZER;
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_client::Origin;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use strum::{Display, EnumIter, EnumString};

use super::pooled::{self, CLAIM, POOL};
use super::single::{
    self, WORKER, await_no_children, await_nothing, await_state, brief, lose_pod, lose_secret,
    reach,
};
use crate::scenario::{ControlPlane, won};
use crate::worker::{self, is};
use crate::{TestNamespace, annotation, claim};

/// What is there before, what happens, and where it ends.
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
    /// Deleted while a live control plane has reserved it.
    DeleteReserved,
    /// Deleted while a live control plane activates it.
    DeleteActivating,
    /// Deleted while hot.
    DeleteHot,
    /// Deleted while a live control plane keeps it parked.
    DeleteHotIdle,
    /// Deleted while its pod takes its time to stop.
    DeleteDraining,
    /// Deleted when it is retired.
    DeleteRetired,
    /// Deleted when it is lost.
    DeleteLost,
    /// A pool is applied and has its one worker Idle.
    PoolToIdle,
    /// A pool with an idle worker is deleted.
    DeletePool,
    /// A claim is applied and gets the idle worker of a pool: Bound, then Ready with a Hot worker.
    ClaimToReady,
    /// The same for a tenant with a cap, whose ledger is kept.
    CappedClaimToReady,
    /// A claim is deleted, and its worker parked.
    ClaimReleased,
}

/// Whoever must live for as long as the run lasts: the control plane that holds the worker.
pub type Company = Option<ControlPlane>;

impl Flow {
    /// The objects are gone at the end.
    pub const fn deletes(self) -> bool {
        let stays =
            matches!(self, Self::ApplyToIdle | Self::DedicatedToHot | Self::Lost | Self::Drain);
        !stays && !matches!(self, Self::PoolToIdle) && !self.claims()
    }

    /// It is about a claim.
    const fn claims(self) -> bool {
        matches!(self, Self::ClaimToReady | Self::CappedClaimToReady | Self::ClaimReleased)
    }

    /// What must be there before the controller starts.
    pub async fn prepare(self, ns: &TestNamespace<'_>) -> Result<()> {
        if self == Self::DeletePending {
            let mut worker = worker::plain(WORKER);
            worker["metadata"]["finalizers"] = json!([FINALIZER]);
            ns.create::<DuckWorker>(worker).await?;
            single::delete(ns).await?;
        }
        Ok(())
    }

    /// What must have happened before the part that is swept, with the controller's help.
    pub async fn set_up(self, ns: &TestNamespace<'_>) -> Result<Company> {
        match self {
            Self::ApplyToIdle | Self::DedicatedToHot | Self::DeletePending | Self::PoolToIdle => {}
            Self::DeleteSpawning => {
                let never = worker::with_annotation(WORKER, annotation::NEVER_READY, "true");
                ns.create::<DuckWorker>(never).await?;
                let has_pod = |w: &DuckWorker| w.status.as_ref().is_some_and(|s| s.pod.is_some());
                ns.await_object::<DuckWorker>(WORKER, "with a pod", has_pod).await?;
            }
            Self::DeleteReserved | Self::DeleteActivating | Self::DeleteHotIdle => {
                return self.hold(ns).await.map(Some);
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
            Self::DeletePool | Self::ClaimToReady => pooled::fill(ns).await?,
            Self::CappedClaimToReady => pooled::fill_capped(ns).await?,
            Self::ClaimReleased => {
                pooled::fill_capped(ns).await?;
                claim::bind(ns, claim::claim(CLAIM, POOL, pooled::TENANT)).await?;
                Self::CappedClaimToReady.finish(ns).await?;
            }
        }
        Ok(None)
    }

    /// A live control plane brings the worker into the state in which it is deleted. It does not
    /// look at the deletion: the controller waits for the time to drain and takes the worker over.
    async fn hold(self, ns: &TestNamespace<'_>) -> Result<ControlPlane> {
        reach(ns, brief(), "Idle").await?;
        let plane = ControlPlane::register(ns).await?;
        let worker = ns.api::<DuckWorker>().get(WORKER).await?;
        match self {
            Self::DeleteHotIdle => {
                let lease = plane.serve(&worker, "acme").await?;
                won(plane.lifecycle.release(&lease, Origin::Library).await?)?;
            }
            Self::DeleteActivating => {
                let lease = plane.claim(&worker, "acme").await?;
                won(plane.lifecycle.activate(&lease).await?)?;
            }
            _ => drop(plane.claim(&worker, "acme").await?),
        }
        Ok(plane)
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
            Self::PoolToIdle => ns.create::<DuckWorkerPool>(pooled::manifest()).await.map(drop),
            Self::ClaimToReady | Self::CappedClaimToReady => {
                let claim = claim::claim(CLAIM, POOL, pooled::TENANT);
                ns.create::<DuckWorkerClaim>(claim).await.map(drop)
            }
            Self::DeletePool => pooled::delete::<DuckWorkerPool>(ns).await,
            Self::ClaimReleased => pooled::delete::<DuckWorkerClaim>(ns).await,
            _ => single::delete(ns).await,
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
            Self::PoolToIdle => pooled::await_idle(ns).await,
            Self::ClaimToReady | Self::CappedClaimToReady => {
                ns.await_object(CLAIM, "Ready", claim::is("Ready")).await.map(drop)?;
                pooled::await_hot(ns).await
            }
            Self::ClaimReleased => pooled::await_parked(ns).await,
            _ => await_nothing(ns).await,
        }
    }

    /// Takes away what is there at its end, and waits until it is gone.
    pub async fn clean_up(self, ns: &TestNamespace<'_>) -> Result<()> {
        if self.deletes() {
            return await_nothing(ns).await;
        }
        if self.claims() || self == Self::PoolToIdle {
            pooled::delete::<DuckWorkerClaim>(ns).await?;
            pooled::delete::<DuckWorkerPool>(ns).await?;
            pooled::delete::<DuckTenant>(ns).await?;
        } else {
            single::delete(ns).await?;
        }
        await_nothing(ns).await
    }
}
