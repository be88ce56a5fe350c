//! A control plane that claims workers through the library, serves with them, gives them back, and
//! is as clumsy as its seed says.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use duckworker_client::children::PodStanding;
use duckworker_client::{
    Children, Connection, DeletePermit, Dice, Error, Instance, InstanceSettings, Origin, Outcome,
    Role, WorkerLease, WorkerLifecycle, WorkerSnapshot, WorkerStore,
};
use duckworker_core::worker::ClaimRef;
use duckworker_core::{Epoch, Reason, Tenant, Uid, WorkerState};
use duckworker_sim::{Chance, SimCluster, User};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use crate::operations::Operations;
use crate::process::{NAMESPACE, Trouble};
use duckworker_faults::Faults;

/// Tenants that claims are for.
const TENANTS: [&str; 3] = ["t0", "t1", "t2"];

/// What a control plane runs on.
pub struct Plane {
    lifecycle: WorkerLifecycle,
    children: Children,
    workers: Api<DuckWorker>,
    chance: Chance,
    tenants: Vec<Tenant>,
    /// Leases and sightings of earlier times, some of them stale by now.
    leases: Vec<WorkerLease>,
    sightings: Vec<WorkerSnapshot>,
    claims: u64,
    name: String,
}

/// Starts one in a pod of this name, as a task; its network is as bad as its seed says.
pub fn start(
    cluster: &SimCluster,
    pod: &str,
    seed: u64,
    operations: &Operations,
) -> (Faults, tokio::task::JoinHandle<Result<()>>) {
    let faults = Faults::by(Trouble::new(seed));
    let uid = cluster.chance(&format!("{pod} {seed}")).uid();
    let user = User::in_pod(NAMESPACE, "plane", pod, &uid);
    let connection =
        Connection::over(cluster.service(user, &faults), NAMESPACE).with_dice(Dice::seeded(seed));
    let chance = cluster.chance(&format!("plane {pod} {seed}"));
    let listener = operations.of(pod);
    let name = format!("{pod}-{seed}");
    let task = tokio::spawn(async move {
        let times = InstanceSettings::default();
        let (instance, heartbeat) =
            Instance::register(&connection, NAMESPACE, Role::ControlPlane, times).await?;
        let store = WorkerStore::new(connection.clone());
        let lifecycle = WorkerLifecycle::new(store, Arc::clone(&instance)).observed_by(listener);
        let plane = Plane {
            children: Children::new(lifecycle.clone()),
            workers: Api::namespaced(connection.client, NAMESPACE),
            lifecycle,
            chance,
            tenants: TENANTS.into_iter().map(Tenant::new).collect::<Result<_, _>>()?,
            leases: Vec::new(),
            sightings: Vec::new(),
            claims: 0,
            name,
        };
        tokio::select! {
            biased;
            () = heartbeat.run() => anyhow::bail!("its Lease is gone"),
            () = plane.run() => Ok(()),
        }
    });
    (faults, task)
}

impl Plane {
    async fn run(mut self) {
        loop {
            let pause = self.chance.between((Duration::ZERO, Duration::from_secs(3)));
            tokio::time::sleep(pause).await;
            // A lost answer is settled by the next call; a miss is somebody else's worker.
            let _ = self.act().await;
        }
    }

    /// Looks at one worker and does one thing to it.
    async fn act(&mut self) -> Result<()> {
        let all = ListParams::default();
        let list = self.workers.list(&all);
        let list = tokio::time::timeout(Duration::from_secs(5), list).await??;
        let index = self.chance.index(list.items.len());
        let name = list.items.get(index).context("there is no worker")?.name_any();
        let Some(seen) = self.lifecycle.store().observe(NAMESPACE, &name).await? else {
            return Ok(());
        };
        if self.chance.strikes(0.2) {
            return Ok(self.stale().await?);
        }
        if self.chance.strikes(0.2) {
            self.sightings.push(seen.clone());
            self.leases.extend(self.lifecycle.lease(&seen.key().uid).await?);
        }
        match self.lifecycle.lease(&seen.key().uid).await? {
            Some(lease) => self.mine(&lease, &seen).await?,
            None => self.others(&seen).await?,
        }
        Ok(())
    }

    /// Acts on what it held or saw earlier: that misses, unless nothing has changed.
    async fn stale(&mut self) -> Result<(), Error> {
        let origin = Origin::Library;
        let (lease, sighting) =
            (self.chance.index(self.leases.len()), self.chance.index(self.sightings.len()));
        if let Some(lease) = self.leases.get(lease) {
            ignore(self.lifecycle.release(lease, origin).await?);
        }
        let Some(seen) = self.sightings.get(sighting) else { return Ok(()) };
        match seen.worker().status.tenant.clone() {
            Some(tenant) if seen.state() == WorkerState::Hot => {
                let epoch = seen.worker().status.epoch();
                ignore(self.lifecycle.take_over(seen, tenant, epoch, origin).await?);
            }
            None if seen.worker().spec.dedicated_to.is_none() => {
                let tenant = self.tenants[0].clone();
                ignore(self.lifecycle.claim_idle(seen, tenant, None, origin).await?);
            }
            _ => {
                let reason = Reason::OutOfDate;
                ignore(
                    self.lifecycle.retire_idle_variant_from_snapshot(seen, reason, origin).await?,
                );
            }
        }
        Ok(())
    }

    async fn others(&mut self, seen: &WorkerSnapshot) -> Result<(), Error> {
        let claim = self.claim();
        let status = &seen.worker().status;
        let dice = self.chance.below(0..10);
        let origin = Origin::Library;
        match (seen.state(), status.tenant.clone()) {
            (WorkerState::Idle, _) if dice == 0 => {
                let reason = Reason::ScaledDown;
                ignore(
                    self.lifecycle.retire_idle_variant_from_snapshot(seen, reason, origin).await?,
                );
            }
            (WorkerState::Idle, _) if seen.worker().spec.dedicated_to.is_none() => {
                let tenant = self.tenant();
                ignore(self.lifecycle.claim_idle(seen, tenant, claim, origin).await?);
            }
            (WorkerState::HotIdle, Some(tenant)) => {
                // Now and then for a tenant that the worker is not of: that misses.
                let tenant = if dice < 4 { self.tenant() } else { tenant };
                ignore(self.lifecycle.claim_hot_idle(seen, tenant, None, claim, origin).await?);
            }
            (WorkerState::Hot, Some(tenant)) => {
                // Now and then with the epoch that an older session knows: that misses.
                let behind = i64::from(dice < 4);
                let epoch = Epoch::new(status.epoch().get() - behind).unwrap_or(Epoch::ZERO);
                ignore(self.lifecycle.take_over(seen, tenant, epoch, origin).await?);
            }
            _ => {}
        }
        Ok(())
    }

    async fn mine(&mut self, lease: &WorkerLease, seen: &WorkerSnapshot) -> Result<(), Error> {
        let dice = self.chance.below(0..10);
        let lifecycle = &self.lifecycle;
        let origin = Origin::Library;
        match (seen.state(), dice) {
            (WorkerState::Reserved, 0) => {
                let outcome = lifecycle.abandon(lease, Reason::ActivationFailed, origin).await?;
                self.clean(outcome).await?;
            }
            (WorkerState::Reserved, 1..4) => ignore(lifecycle.park(lease, origin).await?),
            (WorkerState::Reserved, _) => ignore(lifecycle.activate(lease).await?),
            (WorkerState::Activating, _) => ignore(lifecycle.activated(lease, None).await?),
            (WorkerState::Hot | WorkerState::HotIdle, 0) => {
                let outcome = lifecycle.drain(lease, Reason::Requested, origin).await?;
                self.clean(outcome).await?;
            }
            (WorkerState::Hot, 1) => {
                let outcome = lifecycle.mark_lost(lease, Reason::Unhealthy, origin).await?;
                self.clean(outcome).await?;
            }
            (WorkerState::Hot | WorkerState::HotIdle, 2..5) => {
                ignore(lifecycle.refresh_lease(lease).await?);
                // What was held and seen before counts no more.
                let reason = Reason::OutOfDate;
                ignore(lifecycle.release(lease, origin).await?);
                ignore(lifecycle.retire_idle_variant_from_snapshot(seen, reason, origin).await?);
            }
            (WorkerState::Hot, _) => ignore(lifecycle.release(lease, origin).await?),
            (WorkerState::HotIdle, _) => {
                let claim = self.claim();
                if let Some(tenant) = seen.worker().status.tenant.clone() {
                    let again =
                        self.lifecycle.claim_hot_idle(seen, tenant, None, claim, origin).await?;
                    ignore(again);
                }
            }
            (WorkerState::Draining, _) => self.finish(lease, seen).await?,
            _ => {}
        }
        Ok(())
    }

    /// What follows a won end: as far as it goes now, the rest at the next look.
    async fn clean(&self, outcome: Outcome<DeletePermit>) -> Result<(), Error> {
        if let Outcome::Transitioned(permit) = outcome {
            let _ = self.children.clean_up(permit).await?;
        }
        Ok(())
    }

    async fn finish(&self, lease: &WorkerLease, seen: &WorkerSnapshot) -> Result<(), Error> {
        let Some(permit) = seen.condemned() else { return Ok(()) };
        if let PodStanding::Gone(gone) = self.children.pod_standing(permit).await? {
            let swept = self.children.sweep_secrets(gone).await?;
            ignore(self.lifecycle.retire_drained(lease, &swept, Origin::Library).await?);
        }
        Ok(())
    }

    fn tenant(&mut self) -> Tenant {
        let number = self.chance.index(self.tenants.len());
        self.tenants[number].clone()
    }

    /// Some claims have an object, most have none.
    fn claim(&mut self) -> Option<ClaimRef> {
        self.claims += 1;
        let name = format!("{}-{}", self.name, self.claims);
        let uid = Uid::new(name.clone()).ok()?;
        self.chance.strikes(0.3).then_some(ClaimRef { name, uid })
    }
}

/// Whatever came of it is in the history.
fn ignore<T>(outcome: Outcome<T>) {
    drop(outcome);
}
