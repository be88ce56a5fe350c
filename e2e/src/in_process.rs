//! Controller instances as tasks of the test process: quick to start, to kill and to look into.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use duckworker::args::{Args, Command};
use duckworker::observe::logs::{self, LogSettings};
use duckworker::observe::metrics::Metrics;
use duckworker::observe::readiness::Readiness;
use duckworker::operate::{Ground, operate};
use duckworker::settings::Settings;
use duckworker_client::{Connection, WorkerProtocol};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A controller instance in this process.
pub struct InProcess {
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// What it still waits for.
    pub readiness: Readiness,
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
        "400ms",
        "--lease-pause",
        "2s",
        "--lease-expire",
        "3s",
        "--shutdown-grace",
        "5s",
        "--refresh-interval",
        "500ms",
    ];
    let Command::Controller(args) = Args::try_parse_from(flags)?.command;
    Ok(args.settings()?)
}

impl InProcess {
    /// Starts an instance on this connection. With `DUCKWORKER_LOG` in the environment it logs.
    pub fn start(settings: Settings, connection: Connection) -> Self {
        Self::start_with(settings, connection, None)
    }

    /// The same, with something that stands in for the workers' processes.
    pub fn start_with(
        settings: Settings,
        connection: Connection,
        protocol: Option<Arc<dyn WorkerProtocol>>,
    ) -> Self {
        if let Ok(filter) = std::env::var("DUCKWORKER_LOG") {
            // Another instance of this process may have set it up before.
            let _ = logs::init(&LogSettings { filter, ..settings.log.clone() });
        }
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::new());
        let readiness = Readiness::default();
        let ground = Ground {
            connection,
            metrics: Arc::clone(&metrics),
            readiness: readiness.clone(),
            protocol,
            listener: Arc::new(()),
        };
        let task = tokio::spawn(operate(settings, ground, stop.clone()));
        Self { stop, task, metrics, readiness }
    }

    /// It has not ended by itself.
    pub fn lives(&self) -> bool {
        !self.task.is_finished()
    }

    /// Stops it as SIGTERM does, and waits.
    ///
    /// # Errors
    /// When it had failed before.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        (&mut self.task).await.context("the instance panicked")?
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn ended(mut self) -> Result<()> {
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
