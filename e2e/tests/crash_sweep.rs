//! A cut through the crash sweep; `cargo run -p duckworker-e2e --bin crash-sweep` is all of it.

use anyhow::{Result, ensure};
use duckworker_e2e::sweep::{Depth, sweep};
use duckworker_e2e::{Cluster, ClusterOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_call_changes_nothing_in_the_end() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let tally = sweep(&cluster, &Depth::Short.flows(), Depth::Short, 24).await?;
    println!("{tally}");
    ensure!(tally.is_good(), "{tally}, left out: {:?}\n{:#?}", tally.unreached, tally.failures);
    Ok(())
}
