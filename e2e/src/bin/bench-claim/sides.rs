//! The two sides: a raw PUT whose body was made before, and the library's claim.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use duckworker_client::{Connection, Origin, WorkerLifecycle, WorkerSnapshot};
use duckworker_core::{Tenant, Transition};
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::bench::idle::{IdleWorkers, control_plane};
use duckworker_e2e::bench::raw::{Put, RawWriter};
use duckworker_e2e::scenario::won;
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// Who claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A plain client.
    Raw,
    /// The library.
    Library,
}

/// How long a round took, and each claim in it.
pub struct Round {
    /// All of them.
    pub time: Duration,
    /// Each.
    pub each: Vec<Duration>,
}

/// Both sides, signed in.
pub struct Claimers {
    raw: RawWriter,
    library: WorkerLifecycle,
    tenant: Tenant,
}

impl Claimers {
    /// Signs both in.
    pub async fn new(ground: &Ground) -> Result<Self> {
        Ok(Self {
            raw: RawWriter::new(&ground.account).await?,
            library: control_plane(Connection::new(ground.account.config()?)?).await?,
            tenant: Tenant::new("acme")?,
        })
    }

    /// Claims all of these, so many at once.
    pub async fn round(
        &self,
        side: Side,
        idle: &IdleWorkers<'_>,
        workers: Vec<DuckWorker>,
        clients: usize,
    ) -> Result<Round> {
        match side {
            Side::Raw => {
                let claim = Transition::ClaimIdle { tenant: self.tenant.clone(), claim: None };
                let put = |w: &DuckWorker| Ok(Put::new(w, self.raw.body(w, &claim)?));
                let puts = workers.iter().map(put).collect::<Result<Vec<_>>>()?;
                timed(puts, clients, async |put| self.raw.send(&put).await).await
            }
            Side::Library => {
                let seen = |worker| idle.seen(worker).context("the watch lost a worker");
                let seen = workers.iter().map(seen).collect::<Result<Vec<_>>>()?;
                timed(seen, clients, async |seen| self.claim(&seen).await).await
            }
        }
    }

    async fn claim(&self, seen: &WorkerSnapshot) -> Result<()> {
        let tenant = self.tenant.clone();
        won(self.library.claim_idle(seen, tenant, None, Origin::Library).await?).map(drop)
    }
}

async fn timed<T>(
    work: Vec<T>,
    clients: usize,
    claim: impl AsyncFn(T) -> Result<()>,
) -> Result<Round> {
    let claim = &claim;
    let begun = Instant::now();
    let claims = work.into_iter().map(|one| async move {
        let begun = Instant::now();
        claim(one).await?;
        anyhow::Ok(begun.elapsed())
    });
    let each = stream::iter(claims).buffer_unordered(clients).try_collect().await?;
    Ok(Round { time: begun.elapsed(), each })
}
