//! A worker on loopback, with token and certificate as the controller makes them.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use duckworker::children::tls::Credentials;
use jiff::Timestamp;
use tempfile::TempDir;

use super::worker_build;

/// How long it may take to serve.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running worker. It ends with this value.
pub struct WorkerProcess {
    process: Child,
    address: SocketAddr,
    server_name: String,
    credentials: Credentials,
    started_in: Duration,
    folder: TempDir,
}

impl WorkerProcess {
    /// Starts the release build as the worker of this name, with further flags. It serves without
    /// an activation.
    ///
    /// # Errors
    /// When it cannot be built, or does not serve soon.
    pub async fn start(server_name: &str, flags: &[&str]) -> Result<Self> {
        let build = worker_build().await?;
        #[allow(clippy::disallowed_methods, reason = "no API server whose clock could be asked")]
        let now = Timestamp::now();
        let credentials = Credentials::generate(server_name, now)?;
        let folder = TempDir::new()?;
        fs::write(folder.path().join("tls.crt"), credentials.certificate())?;
        fs::write(folder.path().join("tls.key"), credentials.private_key())?;
        let log = File::create(folder.path().join("log"))?;
        let started = Instant::now();
        let process = Command::new(&build.binary)
            .args(["--address", "127.0.0.1", "--port", "0"])
            .arg("--tls-dir")
            .arg(folder.path())
            .args(flags)
            .env("DUCKWORKER_TOKEN", credentials.token())
            .env("DUCKWORKER_REQUIRE_ACTIVATION", "false")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", build.binary.display()))?;
        let mut worker = Self {
            process,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            server_name: server_name.to_owned(),
            credentials,
            started_in: Duration::ZERO,
            folder,
        };
        worker.await_address(started).await?;
        Ok(worker)
    }

    /// The worker chooses a free port, and logs which once it serves.
    async fn await_address(&mut self, started: Instant) -> Result<()> {
        loop {
            let log = self.log();
            let line = log.lines().find_map(|line| line.split_once("address="));
            if let Some(address) = line.and_then(|(_, rest)| rest.split_whitespace().next()) {
                self.started_in = started.elapsed();
                self.address = address.parse().context("the worker logs no address")?;
                return Ok(());
            }
            if self.process.try_wait()?.is_some() || started.elapsed() > PATIENCE {
                bail!("the worker does not serve:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The only name in its certificate.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// Its token and certificate.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The file of its certificate.
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    /// How long it took from its start until it served.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its memory in bytes, by the name of a line in `/proc/<pid>/status`, such as `VmHWM`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn memory(&self, line: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let value = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
        let kibibytes = value.and_then(|value| value.trim().strip_suffix(" kB"));
        let kibibytes: u64 = kibibytes.context("no such line")?.parse()?;
        Ok(1024 * kibibytes)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // Killed, it has nothing to write.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
