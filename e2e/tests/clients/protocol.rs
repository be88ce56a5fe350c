//! The worker's own tests, which need libduckdb and are therefore not among the default ones.

use std::process::Stdio;

use anyhow::{Result, ensure};
use duckworker_e2e::worker_build::{cargo_with_libduckdb, worker_build};

#[tokio::test]
async fn the_tests_of_the_worker_pass() -> Result<()> {
    // In release, as the program is: they move gigabytes.
    worker_build().await?;
    tokio::task::spawn_blocking(|| {
        let mut tests = cargo_with_libduckdb()?;
        tests.args(["test", "--release", "--package", "duckworker-worker"]);
        tests.args(["--package", "duckworker-database"]);
        let output = tests.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{said}");
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ensure!(said.contains(" passed; 0 failed"), "no test ran");
        Ok(())
    })
    .await?
}
