//! Spec fuzzing in full: `cargo run -p duckworker-e2e --bin fuzz-specs`.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use duckworker_e2e::fuzz::{Case, Pace, all, fuzz, short};
use duckworker_e2e::{Cluster, ClusterOptions};

/// Tries every field of every kind at and beyond its limits, and metadata that mean harm, on a
/// cluster of its own. The last line is the result.
#[derive(Parser)]
struct Args {
    /// Only cases whose name contains this, such as `DuckWorker/spec.tenant` or `finalizers/`
    #[arg(long)]
    only: Vec<String>,
    /// The cut that runs in `cargo test`
    #[arg(long)]
    short: bool,
    /// Print the names of the cases, and try none
    #[arg(long)]
    list: bool,
    /// How many cases share a namespace
    #[arg(long, default_value_t = 120)]
    batch: usize,
    /// How many cases are under way at once
    #[arg(long, default_value_t = 16)]
    at_once: usize,
}

impl Args {
    fn wants(&self, case: &Case) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| case.name.contains(part))
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let cases = if args.short { short()? } else { all()? };
    let cases: Vec<Case> = cases.into_iter().filter(|case| args.wants(case)).collect();
    ensure!(!cases.is_empty(), "there is no such case: --list names them");
    if args.list {
        for case in &cases {
            println!("{}", case.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let pace = Pace { batch: args.batch, at_once: args.at_once };
    let tally = fuzz(&cluster, cases, pace).await?;
    for violation in &tally.violations {
        println!("violation: {violation}");
    }
    let (calls, case) = &tally.busiest;
    println!("the most calls of the controller for one case: {calls}, for {case}");
    println!("{tally}");
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
