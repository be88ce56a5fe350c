//! How fast the library claims idle workers, against raw status PUTs of the same edge.
//!
//! By turns, with all fences on, over fresh idle workers: 1 and 32 clients at once. Both sides know
//! the workers from the same watch. Then several instances race for the same workers, and the same
//! PUT is timed with and without the server's fences. The last line is `claim_ratio_1=…
//! claim_ratio_32=… double_claims=0 fence_cost_ms=… attempts_p50=… attempts_p99=…`: our rate ÷ the
//! raw one, and how often one of those who race writes for one claim.

mod fence;
mod race;
mod sides;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use duckworker_e2e::ClusterOptions;
use duckworker_e2e::bench::CONCURRENCY;
use duckworker_e2e::bench::figures::{median, millis, percentile, ratio, table};
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::bench::idle::IdleWorkers;

use crate::sides::{Claimers, Side};

/// Measures claims of idle workers by the library against the same PUTs, raw.
#[derive(Parser)]
struct Args {
    /// How many workers a side claims in a round with one client; with 32, three times as many
    #[arg(long, default_value_t = 200)]
    workers: usize,
    /// How many rounds each side has
    #[arg(long, default_value_t = 6)]
    rounds: usize,
}

/// The rounds of both sides with so many clients.
#[derive(Default)]
struct Contest {
    clients: usize,
    raw: Vec<sides::Round>,
    library: Vec<sides::Round>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let ground = Ground::prepare(ClusterOptions::api_only()).await?;
    let idle = IdleWorkers::open(&ground).await?;
    let claimers = Claimers::new(&ground).await?;
    // The first of anything is slow: expressions are compiled, connections made.
    for side in [Side::Raw, Side::Library] {
        let workers = idle.make(2 * CONCURRENCY).await?;
        claimers.round(side, &idle, workers, CONCURRENCY).await?;
    }
    let alone = contest(&args, &idle, &claimers, 1).await?;
    let crowd = contest(&args, &idle, &claimers, CONCURRENCY).await?;
    let race = race::run(&ground, &idle).await?;
    let cost = fence::cost(&ground, &idle).await?;

    println!("\nClaims by turns, {} rounds a side:\n", args.rounds);
    let head = ["time of a claim, in ms", "claims", "p50", "p99"];
    table(&head, &[alone.rows(), crowd.rows()].concat());
    println!(
        "{} instances raced for each of {} workers: {} claims won, {} missed; writes per claim: \
         p50 {}, p99 {}\n",
        race.instances,
        race.workers,
        race.won,
        race.missed,
        race.attempts(0.5),
        race.attempts(0.99),
    );
    println!(
        "claim_ratio_1={:.2} claim_ratio_32={:.2} double_claims={} fence_cost_ms={cost:.2} \
         attempts_p50={} attempts_p99={}",
        alone.ratio(),
        crowd.ratio(),
        race.double_claims,
        race.attempts(0.5),
        race.attempts(0.99),
    );
    Ok(())
}

async fn contest(
    args: &Args,
    idle: &IdleWorkers<'_>,
    claimers: &Claimers,
    clients: usize,
) -> Result<Contest> {
    let workers = if clients == 1 { args.workers } else { 3 * args.workers };
    let mut contest = Contest { clients, ..Contest::default() };
    for number in 0..args.rounds {
        // Neither side always goes first.
        let order = [Side::Raw, Side::Library];
        let order = if number % 2 == 0 { order } else { [order[1], order[0]] };
        for side in order {
            let workers = idle.make(workers).await?;
            let round = claimers.round(side, idle, workers, clients).await?;
            match side {
                Side::Raw => contest.raw.push(round),
                Side::Library => contest.library.push(round),
            }
        }
    }
    Ok(contest)
}

impl Contest {
    /// Our rate as a part of the raw one: both sides made as many claims.
    fn ratio(&self) -> f64 {
        let total = |rounds: &[sides::Round]| rounds.iter().map(|r| r.time).sum::<Duration>();
        ratio(total(&self.raw), total(&self.library))
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |side: &str, rounds: &[sides::Round]| {
            let each: Vec<_> = rounds.iter().flat_map(|round| round.each.clone()).collect();
            let shown = |time| format!("{:.2}", millis(time));
            let clients = self.clients;
            vec![
                format!("{side}, {clients} at once"),
                each.len().to_string(),
                shown(median(&each)),
                shown(percentile(&each, 0.99)),
            ]
        };
        vec![row("raw PUT", &self.raw), row("claim_idle", &self.library)]
    }
}
