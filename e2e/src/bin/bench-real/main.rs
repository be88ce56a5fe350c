//! How long a tenant waits for a worker that really is DuckDB, in a pod that a real kubelet runs, and
//! where that time goes.
//!
//! Dedicated workers are applied one after the other. Each stage is told by the API server's stamps and
//! the worker's own log. *Ours* is what the controller adds: from each event of others (the worker is
//! applied, the process serves, it has activated its tenant) until our next writes are acknowledged.
//! Beside that: the size of the image, and of the process alone its memory at rest and the time of its
//! start. The last line is `apply_to_hot_ms=… own_ms=… image_mb=… rss_mb=… start_ms=…`, medians.

mod process;
mod stages;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use duckworker_api::DuckWorker;
use duckworker_e2e::bench::figures::{median, millis};
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::real::{duckdb, obstacle};
use duckworker_e2e::worker::is;
use duckworker_e2e::{ClusterOptions, TestNamespace, await_gone};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, LogParams};

use crate::stages::{Moments, Stages};

/// Measures apply → Hot with real DuckDB workers
#[derive(Parser)]
struct Args {
    /// How many workers, one after the other
    #[arg(long, default_value_t = 15)]
    workers: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(why) = tokio::task::spawn_blocking(obstacle).await? {
        bail!("there can be no real node here: {why}");
    }
    let options = ClusterOptions { real_node: true, ..ClusterOptions::default() };
    let ground = Ground::prepare(options).await?;
    let (mut waits, mut stages) = (Vec::new(), Stages::default());
    let measured = ground.cluster.with_namespace("bench-real", async |ns| {
        let _controller = ground.controller("controller", &ground.account, &ns.name).await?;
        duckdb::load(ns).await?;
        duckdb::tenant(ns, "acme", "CREATE TABLE greetings AS SELECT 'hello' AS word;").await?;
        // The first of anything is slow.
        serve(ns, "warm-up").await?;
        for number in 0..args.workers {
            let (wait, moments) = serve(ns, &format!("w{number}")).await?;
            waits.push(wait);
            stages.enter(&moments);
        }
        Ok(())
    });
    measured.await?;
    stages.show();
    let alone = process::measure().await?;
    println!(
        "apply_to_hot_ms={:.0} own_ms={:.0} image_mb={} rss_mb={} start_ms={:.0}",
        millis(median(&waits)),
        millis(stages.own()),
        alone.image_mb,
        alone.resident_mb,
        millis(alone.start),
    );
    Ok(())
}

/// One worker from apply to Hot, and its end.
async fn serve(ns: &TestNamespace<'_>, name: &str) -> Result<(Duration, Moments)> {
    let audit = ns.cluster.audit();
    let mark = audit.mark()?;
    let started = Instant::now();
    let worker = ns.create::<DuckWorker>(duckdb::dedicated(name, "acme")).await?;
    ns.await_object::<DuckWorker>(name, "Hot", is("Hot")).await?;
    let wait = started.elapsed();
    let log = ns.api::<Pod>().logs(name, &LogParams::default()).await?;
    let told = |events: &[_]| Moments::of(events, &ns.name, name, &log).is_some();
    let events = audit.await_events(mark, "all calls about the worker", told).await?;
    let moments = Moments::of(&events, &ns.name, name, &log).context("a call is missing")?;
    ns.api::<DuckWorker>().delete(name, &DeleteParams::default()).await?;
    await_gone(&ns.api(), &worker).await?;
    Ok((wait, moments))
}
