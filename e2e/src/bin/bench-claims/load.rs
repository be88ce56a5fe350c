//! The open-loop load: claims arrive when they are due, whatever became of those before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use duckworker_api::DuckWorkerClaim;
use duckworker_e2e::PATIENCE;
use duckworker_e2e::claim::claim;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::lookout::Ready;
use crate::site::{POOL, Site};

/// Whose claims they are.
#[derive(Debug, Clone, Copy)]
pub enum Tenants {
    /// Of so many tenants, by chance.
    Shared(u32),
    /// Each of another tenant.
    New,
}

/// Claims that arrive.
pub struct Load {
    /// How their names begin.
    pub prefix: String,
    /// When each is due.
    pub arrivals: Vec<Duration>,
    /// Whose they are.
    pub tenants: Tenants,
    /// How long each is held.
    pub hold: Duration,
}

/// One claim, and what became of it.
pub struct Served {
    /// Its name.
    pub name: String,
    /// When it was due, since the beginning.
    pub due: Duration,
    /// From then until it was seen Ready; as long as anybody waits, if it never was.
    pub latency: Duration,
    /// When it was seen Ready.
    pub ready: Option<Ready>,
    /// When its deletion was asked for.
    given_back: Instant,
}

/// All claims of a load.
pub struct Outcome {
    /// When it began.
    pub begun: Instant,
    /// Each of them.
    pub served: Vec<Served>,
    /// Workers of two live claims, and claims of two workers.
    pub doubles: usize,
}

/// Plays a load on a site, until the last claim is given back.
pub async fn play(site: &Site<'_>, load: &Load) -> Result<Outcome> {
    let mut chance = StdRng::seed_from_u64(load.arrivals.len() as u64);
    let begin = Instant::now() + Duration::from_millis(100);
    let mut claims = JoinSet::new();
    for (number, &due) in load.arrivals.iter().enumerate() {
        let name = format!("{}-{number:05}", load.prefix);
        let tenant = match load.tenants {
            Tenants::Shared(count) => format!("t{:02}", chance.random_range(0..count)),
            Tenants::New => name.clone(),
        };
        tokio::time::sleep_until((begin + due).into()).await;
        let client = site.clients[number % site.clients.len()].clone();
        let client = Api::namespaced(client, &site.namespace.name);
        let ready = site.lookout.expect(&name);
        claims.spawn(serve(client, name, tenant, (begin, due), ready, load.hold));
    }
    // The last ones are on their way, and those of the last seconds are held.
    let listed = site.doubles().await?;
    let served = claims.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    let doubles = listed + overlaps(&served);
    Ok(Outcome { begun: begin, served, doubles })
}

async fn serve(
    api: Api<DuckWorkerClaim>,
    name: String,
    tenant: String,
    (begin, due): (Instant, Duration),
    ready: oneshot::Receiver<Ready>,
    hold: Duration,
) -> Result<Served> {
    let object = serde_json::from_value(claim(&name, POOL, &tenant))?;
    api.create(&PostParams::default(), &object).await?;
    let ready = tokio::time::timeout(PATIENCE, ready).await.ok().and_then(Result::ok);
    let latency = ready.as_ref().map_or(PATIENCE, |ready| ready.at - (begin + due));
    if ready.is_some() {
        tokio::time::sleep(hold).await;
    }
    let given_back = Instant::now();
    api.delete(&name, &DeleteParams::default()).await?;
    Ok(Served { name, due, latency, ready, given_back })
}

/// How often a worker became a claim's before the claim that had it was given back.
fn overlaps(served: &[Served]) -> usize {
    let mut held: BTreeMap<&str, Vec<(Instant, Instant)>> = BTreeMap::new();
    for claim in served {
        if let Some(ready) = &claim.ready {
            held.entry(&ready.worker).or_default().push((ready.at, claim.given_back));
        }
    }
    held.values_mut()
        .map(|times| {
            times.sort_unstable();
            times.windows(2).filter(|pair| pair[1].0 < pair[0].1).count()
        })
        .sum()
}

impl Outcome {
    /// How many claims were never seen Ready.
    pub fn lost(&self) -> usize {
        self.served.iter().filter(|claim| claim.ready.is_none()).count()
    }

    /// The times of those that were due from this moment on, and before that one.
    pub fn between(&self, from: Duration, until: Duration) -> Vec<Duration> {
        let due = self.served.iter().filter(|claim| (from..until).contains(&claim.due));
        due.map(|claim| claim.latency).collect()
    }

    /// The times of those that were due from this moment on.
    pub fn since(&self, from: Duration) -> Vec<Duration> {
        self.between(from, Duration::MAX)
    }

    /// How many of those due in a time had a worker from there.
    pub fn of_source(&self, source: &str, from: Duration, until: Duration) -> usize {
        let due = |claim: &&Served| (from..until).contains(&claim.due);
        self.by_source(source).filter(due).count()
    }

    /// Those that had a worker from there.
    pub fn by_source(&self, source: &str) -> impl Iterator<Item = &Served> {
        let had = move |claim: &&Served| claim.ready.as_ref().is_some_and(|r| r.source == source);
        self.served.iter().filter(had)
    }
}
