//! The crash sweep in full: `cargo run -p duckworker-e2e --bin crash-sweep`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use duckworker_e2e::sweep::{Depth, Flow, sweep};
use duckworker_e2e::{Cluster, ClusterOptions};

/// Stops a controller before and after each of its API calls and loses the answer of each of its
/// writes, on a cluster of its own. The last line is the result.
#[derive(Parser)]
struct Args {
    /// How many cases run at once.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// Only these flows, such as `apply-to-idle`.
    #[arg(long)]
    flow: Vec<Flow>,
    /// The cut that runs in `cargo test`.
    #[arg(long)]
    short: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let depth = if args.short { Depth::Short } else { Depth::Full };
    let flows = if args.flow.is_empty() { depth.flows() } else { args.flow };
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let tally = sweep(&cluster, &flows, depth, args.at_once).await?;
    for failure in &tally.failures {
        println!("failed: {failure}");
    }
    for case in &tally.unreached {
        println!("left out, since its call did not come again: {case}");
    }
    println!("{tally}");
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
