//! Runs a command that needs libduckdb, such as cargo for the reference worker:
//! `cargo run --package duckworker-e2e --bin with-libduckdb -- cargo test --package duckworker-worker`.

use std::env;
use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};
use duckworker_e2e::worker_build::command_with_libduckdb;

fn main() -> Result<()> {
    let mut args = env::args_os().skip(1);
    let program = args.next().context("with-libduckdb: name the command to run")?;
    let mut command = command_with_libduckdb(&program)?;
    // Comes back only if that failed.
    Err(command.args(args).exec()).with_context(|| format!("cannot run {}", program.display()))
}
