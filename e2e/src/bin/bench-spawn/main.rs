//! How long 500 workers take from apply to Idle, against the same writes made raw.
//!
//! By turns, on one cluster with all fences: the controller brings a fleet up; then a plain client
//! makes the very same writes for another fleet, as many at once, and nothing else. The last line
//! is `spawn_ratio=… writes_per_worker=…`: raw time ÷ ours, and our writes for each worker.

mod ours;
mod raw;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use duckworker_e2e::ClusterOptions;
use duckworker_e2e::bench::calls::Calls;
use duckworker_e2e::bench::figures::{median, millis, per, percentile, ratio, table};
use duckworker_e2e::bench::fleet::{Times, latencies, span};
use duckworker_e2e::bench::ground::Ground;

/// Measures apply → Idle against the same writes, raw.
#[derive(Parser)]
struct Args {
    /// How many workers a round has
    #[arg(long, default_value_t = 500)]
    workers: usize,
    /// How many rounds each side has
    #[arg(long, default_value_t = 2)]
    rounds: usize,
}

/// One fleet that came up.
struct Round {
    asked: Times,
    idle: Times,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let ground = Ground::prepare(ClusterOptions::default()).await?;
    // The first of anything is slow: expressions are compiled, connections made.
    raw::round(&ground, 50).await?;
    ours::round(&ground, 50).await?;
    let (mut raw, mut ours, mut calls) = (Vec::new(), Vec::new(), Calls::default());
    for number in 0..args.rounds {
        // Neither side always goes first: the store grows from round to round.
        if number % 2 == 0 {
            raw.push(raw::round(&ground, args.workers).await?);
        }
        let (round, made) = ours::round(&ground, args.workers).await?;
        ours.push(round);
        calls = made;
        if number % 2 == 1 {
            raw.push(raw::round(&ground, args.workers).await?);
        }
    }
    println!("\n{} workers a round, {} rounds a side by turns:\n", args.workers, args.rounds);
    show(&raw, &ours);
    println!("All calls of the controller in its last round:\n");
    calls.show(args.workers);
    let total = |rounds: &[Round]| rounds.iter().map(Round::time).sum::<Duration>();
    println!(
        "spawn_ratio={:.2} writes_per_worker={:.2}",
        ratio(total(&raw), total(&ours)),
        per(calls.writes(), args.workers),
    );
    Ok(())
}

impl Round {
    fn time(&self) -> Duration {
        span(&self.asked, &self.idle)
    }

    fn row(&self, side: &str, number: usize) -> Vec<String> {
        let each = latencies(&self.asked, &self.idle);
        let cells = [self.time(), median(&each), percentile(&each, 0.99)];
        let cells = cells.map(|time| format!("{:.0}", millis(time)));
        [vec![format!("{side} {}", number + 1)], cells.to_vec()].concat()
    }
}

fn show(raw: &[Round], ours: &[Round]) {
    let rows = |side, rounds: &[Round]| -> Vec<_> {
        rounds.iter().enumerate().map(|(number, round)| round.row(side, number)).collect()
    };
    let head = ["apply → Idle, in ms", "all", "p50", "p99"];
    table(&head, &[rows("raw", raw), rows("controller", ours)].concat());
}
