//! How long a fleet whose controller dies is without a live owner.
//!
//! Three controllers hold a fleet on simulated nodes; one gets SIGKILL. The time until its whole
//! share is adopted is set against the lease time + 1.25 × (share ÷ the rate of raw PUTs of the
//! same edge in this run). Then each replica is restarted gracefully in turn: no worker may be left
//! when its process ends. The last line is `failover_over_budget=… pods_touched=0 orphans=0
//! ownerless_ms=0`: the time as a part of the budget, at most 1; the pods that are not as they were
//! before; the workers that have no live owner in the end; and the longest time that one had none when
//! a replica was restarted.

mod fleet;
mod raw;
mod replicas;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use duckworker_client::InstanceSettings;
use duckworker_e2e::ClusterOptions;
use duckworker_e2e::bench::figures::{millis, ratio, table};
use duckworker_e2e::bench::ground::Ground;

use crate::fleet::Fleet;
use crate::raw::Pace;
use crate::replicas::Replicas;

/// Measures the adoption of a dead controller's workers.
#[derive(Parser)]
struct Args {
    /// How many workers the fleet has
    #[arg(long, default_value_t = 1000)]
    workers: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let ground = Ground::prepare(ClusterOptions::default()).await?;
    let fleet = Fleet::new(&ground).await?;
    let mut replicas = Replicas::start(&ground, fleet.name()).await?;
    println!("Bringing up {} workers on three controllers …", args.workers);
    fleet.raise(args.workers).await?;
    let pods = fleet.pods().await?;
    let pace = Pace::measure(&ground, args.workers / replicas::COUNT).await?;

    let (share, took) = kill(&fleet, &replicas).await?;
    let budget = InstanceSettings::default().expire + pace.of(share).mul_f64(1.25);
    replicas.replace(0, &ground, fleet.name()).await?;
    let mut rows = vec![row("killed", share, took, took, pace)];
    let mut ownerless = Duration::ZERO;
    for number in 0..replicas::COUNT {
        let stop = stop(&fleet, &replicas, number).await?;
        let what = format!("stopped, {}", number + 1);
        rows.push(row(&what, stop.share, stop.took, stop.ownerless, pace));
        ownerless = ownerless.max(stop.ownerless);
        replicas.replace(number, &ground, fleet.name()).await?;
    }

    let touched = fleet::touched(&pods, &fleet.pods().await?);
    println!("\nFrom the signal until the last of its workers has another owner:\n");
    table(&["controller", "its workers", "× the raw PUTs", "longest without an owner, ms"], &rows);
    let orphans = fleet.orphans(&replicas).await?;
    println!(
        "failover_over_budget={:.2} pods_touched={touched} orphans={orphans} ownerless_ms={:.0}",
        ratio(took, budget),
        millis(ownerless),
    );
    Ok(())
}

/// Kills the first replica. How many workers it held, and how long the last waited.
async fn kill(fleet: &Fleet<'_>, replicas: &Replicas) -> Result<(usize, Duration)> {
    let owner = replicas.owner(0);
    let share = fleet.held_by(owner).await?;
    println!("Killing one that holds {} workers …", share.len());
    let (count, adopted) = (share.len(), fleet.adoption(owner, share));
    let begun = Instant::now();
    replicas.kill(0)?;
    adopted.all().await?;
    Ok((count, begun.elapsed()))
}

/// How a replica was stopped.
struct Stop {
    /// How many workers it held.
    share: usize,
    /// Until the last had another owner.
    took: Duration,
    /// The longest time from the end of its process until a worker of it had another owner.
    ownerless: Duration,
}

/// Stops a replica as Kubernetes does. It may not go before its workers are handed over.
async fn stop(fleet: &Fleet<'_>, replicas: &Replicas, number: usize) -> Result<Stop> {
    let owner = replicas.owner(number);
    let share = fleet.held_by(owner).await?;
    println!("Stopping one that holds {} workers …", share.len());
    let (count, adopted) = (share.len(), fleet.adoption(owner, share));
    let begun = Instant::now();
    let (adopted, stopped) =
        tokio::join!(adopted.all(), async { replicas.stop(number).await.map(|()| Instant::now()) });
    let (adopted, stopped) = (adopted?, stopped?);
    let left = fleet.held_by(owner).await?;
    ensure!(left.is_empty(), "a controller left {} workers behind", left.len());
    let last = adopted.values().copied().max().unwrap_or(begun);
    let (took, ownerless) = (last - begun, last.saturating_duration_since(stopped));
    Ok(Stop { share: count, took, ownerless })
}

fn row(what: &str, share: usize, took: Duration, ownerless: Duration, pace: Pace) -> Vec<String> {
    let times =
        if share == 0 { "–".to_owned() } else { format!("{:.2}", ratio(took, pace.of(share))) };
    vec![what.to_owned(), share.to_string(), times, format!("{:.0}", millis(ownerless))]
}
