//! The controller's binary: reads the command line and runs.

use std::process::ExitCode;

use clap::Parser;
use duckworker::args::{Args, Command, ControllerArgs};
use duckworker::observe::logs;

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Controller(args) = Args::parse().command;
    match start(*args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The alternate form shows the whole chain of causes.
            eprintln!("duckworker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start(args: ControllerArgs) -> anyhow::Result<()> {
    let settings = args.settings()?;
    logs::init(&settings.log)?;
    duckworker::run(settings).await
}
