//! A cut through the soak; `just soak` is all of it.
#![allow(clippy::large_futures, reason = "the future of a whole test")]

use anyhow::{Result, ensure};
use duckworker_e2e::soak::{Plan, soak};

#[tokio::test(flavor = "multi_thread")]
async fn two_builds_live_through_faults_and_leave_nothing() -> Result<()> {
    let report = soak(&Plan::short(1)).await?;
    println!("{}\n{report}", report.details());
    ensure!(report.is_good(), "{report}\n{:#?}\n{:#?}", report.violations, report.leaked);
    Ok(())
}
