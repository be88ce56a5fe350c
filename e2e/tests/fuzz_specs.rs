//! A cut through the spec fuzzing; `cargo run -p duckworker-e2e --bin fuzz-specs` is all of it.

use anyhow::{Result, ensure};
use duckworker_e2e::fuzz::{Pace, fuzz, short};
use duckworker_e2e::{Cluster, ClusterOptions};

#[tokio::test(flavor = "multi_thread")]
async fn every_spec_is_refused_with_a_sentence_or_carried_out() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let tally = fuzz(&cluster, short()?, Pace { batch: 300, at_once: 24 }).await?;
    println!("{tally}");
    ensure!(tally.is_good(), "{tally}\n{:#?}", tally.violations);
    Ok(())
}
