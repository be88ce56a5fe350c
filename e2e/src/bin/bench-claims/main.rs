//! What a claim costs its user and the API server, as an open loop: claims arrive when they are due,
//! whatever became of those before, and their time counts from then until a watch shows them Ready.
//!
//! Four parts, each with a pool and a controller of its own on simulated nodes. *Reuse*: twenty
//! tenants, workers parked for them. *New*: each claim of another tenant and each worker used once,
//! so that release, end and refill go on all the while. *Burst*: many such claims at one moment on
//! a full pool. And a ratchet for the first two: the rate rises until claims wait longer and longer.
//! Beside them the same writes by plain clients, which refill nothing. All times are of all claims,
//! wherever their workers came from; only the first seconds, in which pools and caches settle, are
//! shown apart. The last line is `reuse_p99_ms_20=… reuse_p99_ms_40=… reuse_knee_per_s=…
//! new_p99_ms_20=… new_knee_ratio=… burst_p90_ratio=… writes_per_claim=… lost=0 double=0`; a part
//! that was left out is `-`.

mod arrivals;
mod knee;
mod load;
mod lookout;
mod parts;
mod raw;
mod site;
mod stages;
mod traffic;
mod writes;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use duckworker_e2e::ClusterOptions;
use duckworker_e2e::bench::figures::{millis, percentile, ratio};
use duckworker_e2e::bench::ground::Ground;

use crate::parts::Tally;

/// Measures claims as an open loop against the same writes, raw
#[derive(Parser)]
struct Args {
    /// How long each rate is kept up, after the warm-up
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long claims arrive before they count
    #[arg(long, default_value_t = 10)]
    warm_up: u64,
    /// Claims a second, with commas; the first is that of new tenants too
    #[arg(long, value_delimiter = ',', default_value = "20,40")]
    rates: Vec<u32>,
    /// How long a claim is held, in seconds
    #[arg(long, default_value_t = 5)]
    hold: u64,
    /// How many claims arrive at one moment; 0 leaves this out
    #[arg(long, default_value_t = 300)]
    burst: usize,
    /// How long each rate of the ratchet is kept up; 0 leaves the ratchet out
    #[arg(long, default_value_t = 10)]
    knee_seconds: u64,
    /// By how much the rate of the ratchet rises
    #[arg(long, default_value_t = 10)]
    knee_step: u32,
}

impl Args {
    fn hold(&self) -> Duration {
        Duration::from_secs(self.hold)
    }

    fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up)
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.warm_up + self.seconds)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let ground = Ground::prepare(ClusterOptions::default()).await?;
    let mut tally = Tally::default();
    let (reuse, raw) = parts::reuse(&ground, &args, &mut tally).await?;
    let raw_pace = raw.pace(300).await?;
    println!("Raw, 32 at once: {raw_pace:.0} writes a second\n");
    let new = parts::new(&ground, &args, &mut tally).await?;
    let burst = parts::burst(&ground, &args, &raw, &mut tally).await?;

    let p99 = |times: &[Duration]| format!("{:.0}", millis(percentile(times, 0.99)));
    let reused: Vec<_> = args
        .rates
        .iter()
        .zip(&reuse.times)
        .map(|(rate, times)| format!("reuse_p99_ms_{rate}={}", p99(times)))
        .collect();
    // Beside the controller's writes its user's two: the claim, and its deletion.
    let raw_rate = raw_pace / (new.writes + 2.0);
    println!("The raw writes of a claim of a new tenant: {raw_rate:.0} times a second at most\n");
    println!(
        "{} reuse_knee_per_s={} new_p99_ms_{}={} new_knee_ratio={} burst_p90_ratio={} writes_per_claim={:.2} lost={} double={}",
        reused.join(" "),
        reuse.knee.map_or_else(|| "-".to_owned(), |knee| format!("{knee:.0}")),
        args.rates.first().copied().unwrap_or_default(),
        p99(&new.times.concat()),
        new.knee.map_or_else(|| "-".to_owned(), |knee| format!("{:.2}", knee / raw_rate)),
        burst.map_or_else(|| "-".to_owned(), |(ours, raw)| format!("{:.2}", ratio(ours, raw))),
        reuse.writes,
        tally.lost,
        tally.doubles,
    );
    Ok(())
}
