//! How fast the janitor sweeps what was left behind, and what that costs those who claim meanwhile.
//!
//! Secrets and pods of workers that are not there, as orphaning deletions leave them; the pods run on
//! a simulated node. The library claims idle workers of another namespace all the time, at a steady
//! rate. First nothing else happens; then a plain client deletes as many secrets and pods, by uid, as
//! many at once as the controller does; then a controller starts, and its janitor sweeps. The last line
//! is `sweep_ratio=… claim_p99_during_over_before=…`: the janitor's rate ÷ that of the raw deletions,
//! and the claims' p99 during the sweep ÷ that before.

mod claims;
mod strays;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use duckworker_client::Connection;
use duckworker_client::connection::PROGRAM;
use duckworker_e2e::bench::figures::{median, millis, percentile, rate, ratio, table};
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::bench::idle::{IdleWorkers, control_plane};
use duckworker_e2e::{AuditEvent, ClusterOptions, TestNamespace, controller_binary};

use crate::claims::Claims;
use crate::strays::Strays;

/// Measures the janitor's sweep of secrets and pods against raw deletions, while claims run.
#[derive(Parser)]
struct Args {
    /// How many secrets have no worker
    #[arg(long, default_value_t = 5000)]
    secrets: usize,
    /// How many pods have no worker
    #[arg(long, default_value_t = 2000)]
    pods: usize,
    /// How many claims there are in a second
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// For how many seconds claims run before anything is deleted
    #[arg(long, default_value_t = 20)]
    before: u64,
}

/// How old what is left behind gets before the janitor sweeps it: it is there for longer when the
/// controller starts.
const GRACE: &str = "1s";
/// A sweep that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(10);
/// So many seconds claims can go on before their workers run out.
const ENOUGH: u32 = 300;

/// When something began and when it was over.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Instant,
    until: Instant,
}

impl Span {
    fn of(from: Instant) -> Self {
        Self { from, until: Instant::now() }
    }

    fn time(&self) -> Duration {
        self.until - self.from
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let ground = Ground::prepare(ClusterOptions::default()).await?;
    controller_binary().await?;
    let idle = IdleWorkers::open(&ground).await?;
    let claimer = control_plane(Connection::new(ground.account.config()?)?).await?;
    println!("Leaving {} secrets and {} pods behind, twice …", args.secrets, args.pods);
    let claims = Claims::start(&idle, claimer, args.rate, args.rate * ENOUGH).await?;
    let (raw, swept) =
        (strays(&ground, "raw", &args).await?, strays(&ground, "sweep", &args).await?);

    let before = Instant::now();
    tokio::time::sleep(Duration::from_secs(args.before)).await;
    let before = Span::of(before);
    println!("A plain client deletes …");
    let by_hand = raw.delete(&ground).await?;
    println!("… and now the janitor …");
    let (during, by_janitor) = sweep(&ground, &swept).await?;
    let claims = claims.stop().await?;

    let rows =
        [("before", before), ("raw deletions", by_hand), ("sweep", during)].map(|(what, span)| {
            let each = claims.between(span.from, span.until);
            let shown = |time| format!("{:.2}", millis(time));
            vec![
                what.to_owned(),
                each.len().to_string(),
                shown(median(&each)),
                shown(percentile(&each, 0.99)),
            ]
        });
    println!();
    table(&["claims, in ms", "count", "p50", "p99"], &rows);
    let count = args.secrets + args.pods;
    println!(
        "{count} deletions: {:.0} a second raw, {:.0} by the janitor\n",
        rate(count, by_hand.time()),
        rate(count, by_janitor),
    );
    let p99 = |span: Span| percentile(&claims.between(span.from, span.until), 0.99);
    println!(
        "sweep_ratio={:.2} claim_p99_during_over_before={:.2}",
        ratio(by_hand.time(), by_janitor),
        ratio(p99(during), p99(before)),
    );
    Ok(())
}

async fn strays<'a>(ground: &'a Ground, name: &str, args: &Args) -> Result<Strays<'a>> {
    let namespace = ground.cluster.create_namespace(name).await?;
    Strays::make(namespace, args.secrets, args.pods).await
}

/// Starts a controller and waits until nothing is left. From its start to the end; and from the first
/// deletion that it asked for to the last.
async fn sweep(ground: &Ground, strays: &Strays<'_>) -> Result<(Span, Duration)> {
    let mark = ground.cluster.audit().mark()?;
    let begun = Instant::now();
    let namespace: &TestNamespace<'_> = &strays.namespace;
    let flags = ["--stranded-grace", GRACE];
    let account = &ground.account;
    let controller = ground.controller_with("controller", account, &namespace.name, &flags).await?;
    let gone = tokio::time::timeout(PATIENCE, strays.gone());
    gone.await.context("the janitor leaves something")??;
    let span = Span::of(begun);
    controller.stop().await?;
    let events = ground.cluster.audit().since(mark)?;
    let is_sweep = |event: &&AuditEvent| {
        event.verb == "delete" && event.user_agent == PROGRAM && event.namespace() == namespace.name
    };
    let deletions: Vec<&AuditEvent> = events.iter().filter(is_sweep).collect();
    ensure!(deletions.len() >= strays.count(), "somebody else deleted: {}", deletions.len());
    let first = deletions.iter().map(|event| event.request_received_timestamp).min();
    let last = deletions.iter().map(|event| event.stage_timestamp).max();
    let (first, last) = first.zip(last).context("no deletions")?;
    Ok((span, last.duration_since(first).unsigned_abs()))
}
