//! Controller instances as tasks of the test process: quick to start, to kill and to look into.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use duckworker::args::{Args, Command};
use duckworker::observe::metrics::Metrics;
use duckworker::observe::readiness::Readiness;
use duckworker::operate::{Ground, operate};
use duckworker::settings::Settings;
use duckworker_client::Connection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A controller instance in this process.
pub struct InProcess {
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
}

/// Settings for one namespace, with short times, so that a crash costs a second and not twenty.
///
/// # Errors
/// Never, unless the flags have changed.
pub fn quick_settings(namespace: &str) -> Result<Settings> {
    let flags = [
        "duckworker",
        "controller",
        "--namespace",
        namespace,
        "--lease-namespace",
        namespace,
        "--admin-address",
        "127.0.0.1:0",
        "--lease-renew",
        "200ms",
        "--lease-pause",
        "700ms",
        "--lease-expire",
        "1s",
        "--shutdown-grace",
        "5s",
    ];
    let Command::Controller(args) = Args::try_parse_from(flags)?.command;
    Ok(args.settings()?)
}

impl InProcess {
    /// Starts an instance on this connection.
    pub fn start(settings: Settings, connection: Connection) -> Self {
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::new());
        let ground = Ground {
            connection,
            metrics: Arc::clone(&metrics),
            readiness: Readiness::default(),
        };
        let task = tokio::spawn(operate(settings, ground, stop.clone()));
        Self {
            stop,
            task,
            metrics,
        }
    }

    /// Stops it as SIGTERM does, and waits.
    ///
    /// # Errors
    /// When it had failed before.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        (&mut self.task).await.context("the instance panicked")?
    }

    /// Ends it as SIGKILL does: nothing is handed over.
    pub async fn kill(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.task.abort();
    }
}
