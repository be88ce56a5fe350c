//! How soon a cache shows what the API server has, once its watch has lost its place or its server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod common;

use std::time::Duration;

use anyhow::{Result, ensure};
use common::{NAMESPACE, Plane, scene};
use duckworker_client::{Connection, WorkerCache};
use duckworker_faults::Faults;
use duckworker_sim::{SimCluster, User};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep};

const WORKERS: &str = "duckworkers.duckworker.dev";
/// After a 410 a watch begins with a list at once, or after a short pause.
const AFTER_A_GAP: Duration = Duration::from_secs(2);
/// After an outage it first waits out its pause, and once more when the first answer is the 410: two
/// seconds at the most, and up to as much of jitter.
const AFTER_AN_OUTAGE: Duration = Duration::from_secs(8);

/// A cache that somebody follows from now on.
async fn follow(cluster: &SimCluster) -> WorkerCache {
    let user = User::in_pod(NAMESPACE, "watcher", "watcher-0", "44444444-d");
    let connection = Connection::over(cluster.service(user, &Faults::none()), NAMESPACE);
    let (cache, changes) = WorkerCache::follow(&connection, Some(NAMESPACE), |_| {});
    tokio::spawn(changes.for_each(async |_| {}));
    assert!(cache.wait_until_filled().await);
    cache
}

/// How long it takes until a worker is shown.
async fn until_shown(cache: &WorkerCache, name: &str) -> Result<Duration> {
    let begun = Instant::now();
    while cache.named(NAMESPACE, name).is_none() {
        ensure!(begun.elapsed() < Duration::from_mins(10), "{name} is never shown");
        sleep(Duration::from_millis(10)).await;
    }
    Ok(begun.elapsed())
}

#[test]
fn a_view_is_fresh_soon_after_its_watch_was_told_410() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let (cache, maker) = (follow(&cluster).await, Plane::register(&cluster, "maker").await?);
        for round in 0..5 {
            let name = format!("w-{round}");
            cluster.hold_watches(WORKERS);
            maker.idle(&name).await?;
            sleep(Duration::from_secs(30)).await;
            ensure!(cache.named(NAMESPACE, &name).is_none(), "it was not held back");
            cluster.compact();
            cluster.free_watches();
            let took = until_shown(&cache, &name).await?;
            ensure!(took <= AFTER_A_GAP, "{took:?}");
        }
        Ok(())
    })
}

#[test]
fn a_view_is_fresh_soon_after_an_outage_however_long() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let cache = follow(&cluster).await;
        for seconds in [1, 20, 60, 600] {
            let maker = Plane::register(&cluster, &format!("maker-{seconds}")).await?;
            let name = format!("w-{seconds}");
            cluster.hold_watches(WORKERS);
            maker.idle(&name).await?;
            cluster.set_down(true);
            cluster.free_watches();
            sleep(Duration::from_secs(seconds)).await;
            cluster.compact();
            cluster.set_down(false);
            let took = until_shown(&cache, &name).await?;
            ensure!(took <= AFTER_AN_OUTAGE, "after {seconds} s: {took:?}");
        }
        Ok(())
    })
}
