//! The process: connects, opens its admin server, runs one instance, obeys signals.

use std::sync::Arc;

use anyhow::Context;
use duckworker_client::Connection;
use kube::Config;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::observe::admin::AdminServer;
use crate::observe::metrics::Metrics;
use crate::observe::readiness::Readiness;
use crate::operate::{Ground, operate};
use crate::settings::Settings;

/// Runs the controller until it is told to stop.
///
/// # Errors
/// When it cannot go on: the process ends and is started anew.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let config = Config::infer().await.context(
        "no way to an API server: set KUBECONFIG, or run in a pod with a service account",
    )?;
    let metrics = Arc::new(Metrics::new());
    let connection = Connection::with_layer(config, &metrics.api_calls.layer())
        .context("the client cannot be set up")?;
    let readiness = Readiness::default();
    let stop = stop_on_signals()?;
    let admin = AdminServer::bind(settings.admin_address, Arc::clone(&metrics), readiness.clone())
        .await
        .with_context(|| format!("cannot listen on {}", settings.admin_address))?;
    tracing::info!(address = %admin.address()?, "admin server listens");
    let admin_stop = CancellationToken::new();
    let serving = tokio::spawn(admin.serve(admin_stop.clone()));
    let listener = Arc::new(());
    let ground = Ground { connection, metrics, readiness, protocol: None, listener };
    let result = operate(settings, ground, stop).await;
    admin_stop.cancel();
    serving.await.context("the admin server died")?.context("the admin server failed")?;
    result
}

/// Cancelled by SIGTERM or an interrupt.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
        told.cancel();
    });
    Ok(stop)
}
