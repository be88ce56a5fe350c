//! How fast a plain client adopts.

use std::time::{Duration, Instant};

use anyhow::Result;
use duckworker_core::{Note, Transition};
use duckworker_e2e::bench::CONCURRENCY;
use duckworker_e2e::bench::fleet::names;
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::bench::raw::{Put, RawWriter};
use duckworker_e2e::worker;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::PostParams;

/// The time that one raw PUT takes when many are made at once.
#[derive(Debug, Clone, Copy)]
pub struct Pace(Duration);

impl Pace {
    /// Makes so many workers that another instance owns, and times the PUTs that adopt them.
    pub async fn measure(ground: &Ground, count: usize) -> Result<Self> {
        let namespace = ground.cluster.create_namespace("raw").await?;
        let before = RawWriter::new(&ground.account).await?;
        let after = RawWriter::new(&ground.account).await?;
        let puts = names(count).into_iter().map(|name| {
            let (api, before, after) = (namespace.api(), &before, &after);
            async move {
                let object = serde_json::from_value(worker::plain(&name))?;
                let worker = api.create(&PostParams::default(), &object).await?;
                let worker = before.put(&worker, &Transition::AdoptNew).await?;
                let worker = before.put(&worker, &Transition::Ready(Note::default())).await?;
                anyhow::Ok(Put::new(&worker, after.body(&worker, &Transition::Adopt)?))
            }
        });
        let puts: Vec<Put> = stream::iter(puts).buffer_unordered(CONCURRENCY).try_collect().await?;
        let begun = Instant::now();
        let sends = puts.iter().map(|put| after.send(put));
        stream::iter(sends).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        Ok(Self(begun.elapsed().div_f64(f64::from(u32::try_from(count)?))))
    }

    /// The time of so many.
    pub fn of(self, count: usize) -> Duration {
        self.0 * u32::try_from(count).unwrap_or(u32::MAX)
    }
}
