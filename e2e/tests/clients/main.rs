//! Clients that no one here wrote, against the reference worker: Python's ADBC driver for Flight
//! SQL and Java's JDBC driver. Each gets what a user gets out of a worker's secret: the token, the
//! certificate to pin, and the one name in it.

mod adbc;
mod jdbc;
mod protocol;
mod tools;

use anyhow::{Result, ensure};
use duckworker_e2e::worker_build::WorkerProcess;

/// The name in the worker's certificate, as `status.serverName` tells it.
const SERVER_NAME: &str = "w1.data.duckworker";
/// How much more memory than before a worker may need for a result of a gigabyte: what its engine
/// may use, and what is on its way.
const BOUND: u64 = 400 << 20;

/// A worker whose engine may use less memory than the large result has bytes.
async fn worker() -> Result<WorkerProcess> {
    WorkerProcess::start(SERVER_NAME, &["--memory-limit", "256MB", "--threads", "2"]).await
}

/// Fails if the worker needed much more memory than when it was idle.
fn check_memory(worker: &WorkerProcess, before: u64) -> Result<()> {
    let grown = worker.memory("VmHWM")?.saturating_sub(before);
    println!("the worker's memory grew by {} MiB at most", grown >> 20);
    ensure!(grown < BOUND, "the worker's memory grew by {} MiB", grown >> 20);
    ensure!(!worker.log().contains(worker.credentials().token()), "the log shows the token");
    Ok(())
}
