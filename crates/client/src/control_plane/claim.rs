//! How a control plane comes to hold a worker.

use std::sync::PoisonError;

use duckworker_core::plan::claim::{Wanted, candidates};
use duckworker_core::{Epoch, Image, Miss, Reason, Tenant, WorkerState};

use super::held::HeldWorker;
use super::holding::Holding;
use super::{ControlPlane, Shared};
use crate::activation::ActivationError;
use crate::error::Error;
use crate::outcome::{Origin, Outcome};
use crate::token::{WorkerLease, WorkerSnapshot};

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// This control plane is stopping, or over.
    #[error("this control plane takes no more workers: it is stopping")]
    Stopping,
    /// The tenant has all the workers that it may have. There may be one when one of those that it
    /// holds has ended.
    #[error(
        "tenant {0} holds all the workers that its DuckTenant allows: release one, or raise spec.maxWorkers"
    )]
    AtCap(Tenant),
    /// The worker that was won went another way while it was activated: deleted, drained, taken.
    #[error("the worker went another way while it was activated: {0}")]
    Lost(Miss),
    /// The worker did not take the tenant's credentials; it is ended.
    #[error(transparent)]
    Activation(ActivationError),
    /// The API server.
    #[error(transparent)]
    Call(#[from] Error),
}

impl ControlPlane {
    /// Claims a worker for a tenant and activates it: one that it had before, or else an idle one.
    /// Waits until there is one. Of another version than `version`, if given, none is taken. What a
    /// `DuckTenant` of that name says goes before: its cap, and the version that it is pinned to.
    ///
    /// # Errors
    /// [`ClaimError::AtCap`] when the tenant has all that it may have.
    /// [`ClaimError::Activation`] when the worker that was won could not be activated: it is ended,
    /// and the next call takes another.
    pub async fn claim(
        &self,
        tenant: &Tenant,
        version: Option<&Image>,
    ) -> Result<HeldWorker, ClaimError> {
        let mut news = self.shared.news.clone();
        loop {
            news.mark_unchanged();
            if let Some(held) = self.try_claim(tenant, version).await? {
                return Ok(held);
            }
            let mut stopping = self.shared.stopping.subscribe();
            tokio::select! {
                changed = news.changed() => changed.map_err(|_| ClaimError::Stopping)?,
                _ = stopping.wait_for(|stopping| *stopping) => return Err(ClaimError::Stopping),
                () = self.over() => return Err(ClaimError::Stopping),
            }
        }
    }

    /// The same without waiting. None: no worker is to be had.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub async fn try_claim(
        &self,
        tenant: &Tenant,
        version: Option<&Image>,
    ) -> Result<Option<HeldWorker>, ClaimError> {
        let by = self.owner();
        let wanted = Wanted { tenant, version, by };
        let all = self.shared.workers.all();
        for seen in candidates(&wanted, all, |seen: &WorkerSnapshot| seen.worker()) {
            if self.is_stopping() {
                return Err(ClaimError::Stopping);
            }
            match self.take(&seen, tenant, version).await? {
                Outcome::Transitioned(lease) => {
                    return self.activate(lease, tenant).await.map(Some);
                }
                // No other idle one would be had either; parked ones come first.
                Outcome::Missed(Miss::Capacity) if seen.state() == WorkerState::Idle => {
                    return Err(ClaimError::AtCap(tenant.clone()));
                }
                // Somebody else was quicker, or it is not of the tenant's version: try the next.
                Outcome::Missed(_) => {}
            }
        }
        Ok(None)
    }

    /// Takes over a hot worker whose session comes back through this control plane. The session's
    /// record names the epoch that it began under.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub async fn take_over(
        &self,
        name: &str,
        tenant: &Tenant,
        epoch: Epoch,
    ) -> Result<Outcome<HeldWorker>, ClaimError> {
        let lifecycle = &self.shared.lifecycle;
        let namespace = &self.shared.namespace;
        let Some(seen) = lifecycle.store().observe(namespace, name).await? else {
            return Ok(Outcome::Missed(Miss::Gone));
        };
        if self.is_stopping() {
            return Err(ClaimError::Stopping);
        }
        match lifecycle.take_over(&seen, tenant.clone(), epoch, Origin::Library).await? {
            Outcome::Missed(miss) => Ok(Outcome::Missed(miss)),
            Outcome::Transitioned(lease) => {
                self.activate(lease, tenant).await.map(Outcome::Transitioned)
            }
        }
    }

    fn is_stopping(&self) -> bool {
        *self.shared.stopping.borrow()
    }

    async fn take(
        &self,
        seen: &WorkerSnapshot,
        tenant: &Tenant,
        version: Option<&Image>,
    ) -> Result<Outcome<WorkerLease>, Error> {
        let (lifecycle, tenant) = (&self.shared.lifecycle, tenant.clone());
        match seen.state() {
            WorkerState::HotIdle => {
                let version = version.cloned();
                lifecycle.claim_hot_idle(seen, tenant, version, None, Origin::Library).await
            }
            _ => lifecycle.claim_idle(seen, tenant, None, Origin::Library).await,
        }
    }

    /// Reserved → Activating → Hot. Whatever it fails with, the worker is not simply dropped.
    async fn activate(
        &self,
        lease: WorkerLease,
        tenant: &Tenant,
    ) -> Result<HeldWorker, ClaimError> {
        match self.shared.activate(&lease).await {
            Ok(hot) => Ok(self.hold(hot, tenant)),
            Err(why) => {
                tracing::warn!(worker = %lease.key(), error = %why, "its activation failed");
                let ended = self.shared.abandon(&lease, Reason::ActivationFailed).await;
                if let Err(error) = ended {
                    tracing::warn!(worker = %lease.key(), %error, "left to the controllers");
                }
                Err(why)
            }
        }
    }

    fn hold(&self, worker: WorkerSnapshot, tenant: &Tenant) -> HeldWorker {
        let uid = worker.key().uid.clone();
        let holding = Holding::new(worker, tenant.clone());
        let mut held = self.shared.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(uid, holding.clone());
        HeldWorker { shared: self.shared.clone(), holding }
    }
}

impl Shared {
    async fn activate(&self, lease: &WorkerLease) -> Result<WorkerSnapshot, ClaimError> {
        let activating = won(self.lifecycle.activate(lease).await?)?;
        let patience = activating.worker().spec.activation_timeout;
        let finished = self.activator.finish(&activating, lease, patience).await;
        match finished {
            Ok(outcome) => won(outcome),
            Err(error) => Err(ClaimError::Activation(error)),
        }
    }

    /// Ends a worker of ours that never came to serve, and deletes what it has as far as that goes
    /// now; the controllers sweep the rest.
    pub(super) async fn abandon(
        &self,
        lease: &WorkerLease,
        reason: Reason,
    ) -> Result<Outcome<()>, Error> {
        let permit = match self.lifecycle.abandon(lease, reason, Origin::Activation).await? {
            Outcome::Transitioned(permit) => permit,
            Outcome::Missed(miss) => return Ok(Outcome::Missed(miss)),
        };
        if let Err(error) = self.children.clean_up(permit).await {
            tracing::warn!(worker = %lease.key(), %error, "the rest is left to the controllers");
        }
        Ok(Outcome::Transitioned(()))
    }
}

fn won(outcome: Outcome<WorkerSnapshot>) -> Result<WorkerSnapshot, ClaimError> {
    match outcome {
        Outcome::Transitioned(worker) => Ok(worker),
        Outcome::Missed(miss) => Err(ClaimError::Lost(miss)),
    }
}
