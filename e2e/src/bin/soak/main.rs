//! The soak: `cargo run -p duckworker-e2e --bin soak -- --minutes 30`.

mod old;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use duckworker_e2e::soak::{Plan, soak};

/// Old and new builds of the controller side by side, with everyday work and with faults, on a cluster
/// of its own. The last line is the result.
#[derive(Parser)]
struct Args {
    /// For how many minutes faults come.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Which faults, and what people do. One by chance, unless told.
    #[arg(long)]
    seed: Option<u64>,
    /// The other build of the controller.
    #[arg(long, env = "DUCKWORKER_SOAK_OLD", conflicts_with = "old_revision")]
    old: Option<PathBuf>,
    /// The revision that the other build is made of; the newest tag unless told. Without a tag, the
    /// same build plays both parts.
    #[arg(long)]
    old_revision: Option<String>,
    /// The cut that runs in `cargo test`.
    #[arg(long)]
    short: bool,
    /// Where the history is put, as `just check-history` reads it.
    #[arg(long)]
    record: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u16>()));
    let old = match args.old {
        Some(program) => Some(program),
        None => old::build(args.old_revision.as_deref())?,
    };
    match &old {
        Some(program) => println!("seed {seed}, the old build is {}", program.display()),
        None => println!("seed {seed}, the old build is the same as the new one"),
    }
    let time = Duration::from_secs(args.minutes * 60);
    let plan = if args.short { Plan::short(seed) } else { Plan::long(seed, time) };
    let report = soak(&Plan { old, record: args.record, ..plan }).await?;
    for violation in &report.violations {
        println!("violation: {violation}");
    }
    for leak in &report.leaked {
        println!("left: {leak}");
    }
    println!("{}", report.details());
    println!("{report}");
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
