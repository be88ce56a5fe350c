//! Many instances claim the same worker at the same time: each worker has one winner, and nobody
//! writes again and again.

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::{Connection, Origin, Outcome, WorkerLifecycle};
use duckworker_core::Tenant;
use duckworker_e2e::bench::figures::percentile;
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::bench::idle::{IdleWorkers, control_plane};
use duckworker_faults::{Call, Faults, Verb};
use futures::future::{join_all, try_join_all};
use kube::ResourceExt as _;
use kube::api::ListParams;

/// How many instances race.
const INSTANCES: usize = 64;
/// For how many workers, one after the other.
const WORKERS: usize = 50;

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
    /// How often each claim wrote.
    attempts: Vec<u64>,
}

impl Race {
    /// How often this part of the claims wrote, at the most.
    pub fn attempts(&self, part: f64) -> u64 {
        percentile(&self.attempts, part)
    }
}

/// One that races, and what counts its writes.
struct Racer {
    lifecycle: WorkerLifecycle,
    writes: Faults,
}

impl Racer {
    async fn new(ground: &Ground) -> Result<Self> {
        let is_write = |call: &Call| call.is(Verb::Update, "duckworkers/status");
        let writes = Faults::none().counting(is_write);
        let connection = Connection::with_layer(ground.account.config()?, &writes.layer())?;
        Ok(Self { lifecycle: control_plane(connection).await?, writes })
    }

    /// Whether it won, and how often it wrote.
    async fn claim(&self, idle: &IdleWorkers<'_>, worker: &DuckWorker) -> Result<(bool, u64)> {
        let Some(seen) = idle.seen(worker) else { return Ok((false, 0)) };
        let (before, tenant) = (self.writes.counted(), Tenant::new("acme")?);
        let outcome = self.lifecycle.claim_idle(&seen, tenant, None, Origin::Library).await?;
        let won = matches!(outcome, Outcome::Transitioned(_));
        Ok((won, self.writes.counted() - before))
    }
}

/// Races.
pub async fn run(ground: &Ground, idle: &IdleWorkers<'_>) -> Result<Race> {
    let racers = try_join_all((0..INSTANCES).map(|_| Racer::new(ground))).await?;
    let mut race = Race {
        instances: INSTANCES,
        workers: WORKERS,
        won: 0,
        missed: 0,
        double_claims: 0,
        attempts: Vec::new(),
    };
    let mut winners = HashMap::new();
    for worker in idle.make(WORKERS).await? {
        let claims = racers.iter().map(|racer| racer.claim(idle, &worker));
        let claims: Vec<_> = join_all(claims).await.into_iter().collect::<Result<_>>()?;
        let won = claims.iter().filter(|(won, _)| *won).count();
        race.won += won;
        race.missed += claims.len() - won;
        race.double_claims += usize::from(won > 1);
        race.attempts.extend(claims.iter().map(|(_, attempts)| *attempts));
        ensure!(won > 0, "nobody won {}", worker.name_any());
        let winner = racers.iter().zip(&claims).find(|(_, (won, _))| *won);
        let winner = winner.map(|(racer, _)| racer.lifecycle.instance().owner().to_string());
        winners.insert(worker.name_any(), winner);
    }
    for worker in idle.namespace.api::<DuckWorker>().list(&ListParams::default()).await? {
        let (name, owner) = (worker.name_any(), worker.status.and_then(|status| status.owner));
        if winners.get(&name).is_some_and(|winner| *winner != owner) {
            bail!("{name} is owned by {owner:?} and not by who won it");
        }
    }
    Ok(race)
}
