//! A pool in a namespace of its own, the controller that looks after it, and the clients that claim.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::pool::{count, pool, workers, workers_of};
use duckworker_e2e::worker::state;
use duckworker_e2e::{ControllerProcess, TestNamespace, await_list};
use kube::Client;
use kube::api::ListParams;
use serde_json::json;

use crate::lookout::Lookout;

/// The one pool of a site.
pub const POOL: &str = "p";
/// How many connections claims come by.
const CLIENTS: usize = 8;

/// What a pool does with workers that were given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// They are parked for their tenant.
    SameTenant,
    /// They are drained, and others started.
    Never,
}

/// A pool with its controller and its clients.
pub struct Site<'a> {
    /// Where it is.
    pub namespace: TestNamespace<'a>,
    /// Those who claim take turns.
    pub clients: Vec<Client>,
    /// As whom its controller signs in.
    pub account: String,
    /// Tells them.
    pub lookout: Lookout,
    controller: ControllerProcess,
    replicas: usize,
}

impl<'a> Site<'a> {
    /// Fills a pool of this size.
    pub async fn open(ground: &'a Ground, reuse: Reuse, replicas: usize) -> Result<Self> {
        let namespace = ground.cluster.create_namespace("claims").await?;
        let controller = ground.controller("controller", &ground.account, &namespace.name).await?;
        let clients = (0..CLIENTS).map(|_| ground.cluster.client()).collect::<Result<_>>()?;
        let lookout = Lookout::watch(ground.cluster.client()?, &namespace.name);
        let mut manifest = pool(POOL, i64::try_from(replicas)?, 5000);
        manifest["spec"]["reuse"] = json!(format!("{reuse:?}"));
        // Nothing that was parked ends while it is measured.
        manifest["spec"]["hotIdle"] = json!({ "ttlSeconds": 3600 });
        namespace.create::<DuckWorkerPool>(manifest).await?;
        let account = ground.account.name().to_owned();
        let site = Self { namespace, clients, account, lookout, controller, replicas };
        site.rest().await?;
        Ok(site)
    }

    /// Waits until the pool is full and nothing of earlier claims is under way. Its workers then.
    pub async fn rest(&self) -> Result<Vec<DuckWorker>> {
        let rests = |workers: &[DuckWorker]| {
            // The objects of those that are over stay for a while.
            let still = |w| matches!(state(w), "Idle" | "HotIdle" | "Retired" | "Lost");
            let still = workers.iter().all(still);
            still && count(workers, "Idle") >= self.replicas
        };
        match await_list(&self.namespace.api(), &workers_of(POOL), "at rest", rests).await {
            Ok(workers) => Ok(workers),
            // Hundreds of workers tell nobody anything.
            Err(_) => bail!("{} idle are wanted; there are {}", self.replicas, self.count().await?),
        }
    }

    async fn count(&self) -> Result<String> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for worker in workers(&self.namespace, POOL).await? {
            *counts.entry(state(&worker).to_owned()).or_default() += 1;
        }
        let pool = self.namespace.api::<DuckWorkerPool>().get(POOL).await?;
        let status = pool.status.map(|status| serde_json::to_string(&status.conditions));
        Ok(format!("{counts:?}; the pool says {:?}", status.transpose()?))
    }

    /// Stops the controller, so that it costs the next measurement nothing.
    pub async fn close(self) -> Result<()> {
        self.controller.stop().await
    }

    /// Workers that two live claims name, and live claims that two workers name, by listing.
    pub async fn doubles(&self) -> Result<usize> {
        let claims = self.namespace.api::<DuckWorkerClaim>().list(&ListParams::default()).await?;
        let named = claims.items.into_iter().filter(|c| c.metadata.deletion_timestamp.is_none());
        let named = named.filter_map(|claim| Some(claim.status?.worker?.uid));
        let held = workers(&self.namespace, POOL)
            .await?
            .into_iter()
            .filter(|worker| !matches!(state(worker), "HotIdle" | "Draining" | "Retired" | "Lost"));
        let held = held.filter_map(|worker| Some(worker.status?.claim?.uid));
        Ok(repeated(named) + repeated(held))
    }
}

fn repeated(names: impl Iterator<Item = String>) -> usize {
    let mut names: Vec<_> = names.collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    all - names.len()
}

/// How many idle workers a pool must hold so that claims at this rate find one until the first
/// come back, and half as many more.
pub fn enough(rate: f64, hold: Duration) -> Result<usize> {
    let wanted = rate * hold.as_secs_f64() * 1.5 + 20.0;
    ensure!(wanted < 4000.0, "no pool is large enough for {rate} claims a second");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seen to be small")]
    Ok(wanted.ceil() as usize)
}
