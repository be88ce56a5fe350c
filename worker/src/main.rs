//! The worker's binary: reads what it is told, opens the engine, serves.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use duckworker_worker::args::Args;
use duckworker_worker::engine::Instance;
use duckworker_worker::flight::hub::Hub;
use duckworker_worker::server::{Listening, Tls};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The alternate form shows the whole chain of causes.
            eprintln!("duckdb-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log_filter).context("--log-filter is malformed")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let stop = stop_on_signals()?;
    let (token, tls) = (args.token()?, Tls::read(args.tls_dir())?);
    let settings = args.engine();
    let instance = tokio::task::spawn_blocking(move || Instance::open(&settings));
    let instance = instance.await?.context("DuckDB cannot be opened")?;
    tokio::spawn(Arc::clone(&instance).probe_for_ever(args.probe_period()));
    let hub = Hub::new(Arc::clone(&instance), args.terms());
    let listening = Listening::on(args.listen(), hub, tls, token).await?;
    tracing::info!(address = %listening.address()?, engine = instance.version(), "serving");
    listening.serve(stop, args.grace()).await?;
    tracing::info!("ended");
    Ok(())
}

/// Cancelled by SIGTERM or an interrupt.
fn stop_on_signals() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}
