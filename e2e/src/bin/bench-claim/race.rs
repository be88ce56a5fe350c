//! Several instances claim the same workers at the same time: each worker has one winner.

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::{Origin, Outcome, WorkerLifecycle};
use duckworker_core::Tenant;
use duckworker_e2e::bench::ground::Ground;
use futures::future::{join_all, try_join_all};
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::pasture::Pasture;
use crate::sides::control_plane;

/// How many instances race.
const INSTANCES: usize = 8;
/// For how many workers.
const WORKERS: usize = 100;

/// How a race ended.
pub struct Race {
    /// How many instances raced.
    pub instances: usize,
    /// For how many workers.
    pub workers: usize,
    /// How many claims were won.
    pub won: usize,
    /// How many were not.
    pub missed: usize,
    /// Workers that more than one instance believes to have won.
    pub double_claims: usize,
}

/// Races.
pub async fn run(ground: &Ground, pasture: &Pasture<'_>) -> Result<Race> {
    let instances = try_join_all((0..INSTANCES).map(|_| control_plane(ground))).await?;
    let mut race =
        Race { instances: INSTANCES, workers: WORKERS, won: 0, missed: 0, double_claims: 0 };
    let mut winners = HashMap::new();
    for worker in pasture.fill(WORKERS).await? {
        let claims = instances.iter().map(|instance| claim(instance, pasture, &worker));
        let claims: Vec<bool> = join_all(claims).await.into_iter().collect::<Result<_>>()?;
        let won = claims.iter().filter(|&&won| won).count();
        race.won += won;
        race.missed += claims.len() - won;
        race.double_claims += usize::from(won > 1);
        ensure!(won > 0, "nobody won {}", worker.name_any());
        let winner = instances.iter().zip(&claims).find(|(_, won)| **won);
        let winner = winner.map(|(instance, _)| instance.instance().owner().to_string());
        winners.insert(worker.name_any(), winner);
    }
    for worker in pasture.namespace.api::<DuckWorker>().list(&ListParams::default()).await? {
        let (name, owner) = (worker.name_any(), worker.status.and_then(|status| status.owner));
        if winners.get(&name).is_some_and(|winner| *winner != owner) {
            bail!("{name} is owned by {owner:?} and not by who won it");
        }
    }
    Ok(race)
}

async fn claim(
    instance: &WorkerLifecycle,
    pasture: &Pasture<'_>,
    worker: &DuckWorker,
) -> Result<bool> {
    let Some(seen) = pasture.seen(worker) else { return Ok(false) };
    let tenant = Tenant::new("acme")?;
    let outcome = instance.claim_idle(&seen, tenant, None, Origin::Library).await?;
    Ok(matches!(outcome, Outcome::Transitioned(_)))
}
