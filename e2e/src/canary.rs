//! What must never be shown, a controller that tells all that it can, and the places to look in.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::labels;
use k8s_openapi::api::core::v1::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::port::free_port;
use crate::{ControllerProcess, TestNamespace};

/// What of a worker's secret is secret.
pub const OF_WORKERS: [&str; 2] = [labels::TOKEN_KEY, labels::PRIVATE_KEY_KEY];

/// Words that must be seen nowhere but in their secret.
#[derive(Debug, Default)]
pub struct Canaries(Vec<String>);

impl Canaries {
    /// Adds these members of a secret: their lines, and the whole as it stands in JSON.
    ///
    /// # Errors
    /// When there is no such secret or member, or none long enough to look for.
    pub async fn add(&mut self, ns: &TestNamespace<'_>, secret: &str, keys: &[&str]) -> Result<()> {
        let secret: Secret = ns.api().get(secret).await?;
        let wire = serde_json::to_value(&secret)?;
        let data = secret.data.unwrap_or_default();
        for key in keys {
            let bytes = &data.get(*key).with_context(|| format!("no {key}"))?.0;
            let text = std::str::from_utf8(bytes)?;
            let lines = text.lines().filter(|line| !line.starts_with("---"));
            self.0.extend(lines.map(str::to_owned));
            self.0.push(wire["data"][key].as_str().context("base64")?.to_owned());
        }
        ensure!(self.0.iter().all(|canary| canary.len() >= 16), "too short to look for");
        Ok(())
    }

    /// None of them is in any of these texts, which bear names.
    ///
    /// # Errors
    /// Where one is.
    pub fn look_in(&self, places: &[(&str, &str)]) -> Result<()> {
        ensure!(!self.0.is_empty(), "nothing to look for");
        for (place, text) in places {
            ensure!(!text.is_empty(), "the {place} is empty");
            let shown = self.0.iter().any(|canary| text.contains(canary));
            ensure!(!shown, "a secret in the {place}");
        }
        Ok(())
    }
}

/// A controller process that logs all that it can.
pub struct Talker {
    process: ControllerProcess,
    address: String,
}

impl Talker {
    /// Starts one for the namespace of a test, as `admin`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(ns: &TestNamespace<'_>) -> Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let flags = ["controller", "--namespace", &ns.name, "--lease-namespace", &ns.name];
        let more = ["--admin-address", &address, "--log-format", "json", "--log-filter"];
        let filter = "debug,duckworker=trace,duckworker_client=trace,duckworker_core=trace";
        let args = [&flags[..], &more[..], &[filter]].concat();
        let admin = ns.cluster.user("admin")?;
        let process = ControllerProcess::start(ns.cluster, "canary", admin, &args, &[]).await?;
        Ok(Self { process, address })
    }

    /// What its admin server answers: code and text.
    ///
    /// # Errors
    /// When it does not.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let address = &self.address;
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let code = answer.split(' ').nth(1).context("a status line")?.parse()?;
        Ok((code, answer))
    }

    /// Its metrics.
    ///
    /// # Errors
    /// When it does not show them.
    pub async fn metrics(&self) -> Result<String> {
        let (code, metrics) = self.get("/metrics").await?;
        ensure!(code == 200, "{metrics}");
        Ok(metrics)
    }

    /// Stops it, and returns its log.
    ///
    /// # Errors
    /// When it does not stop well.
    pub async fn stop(self) -> Result<String> {
        self.process.stop().await?;
        let log = std::fs::read_to_string(self.process.component().log())?;
        ensure!(log.contains("next step"), "the log says little");
        Ok(log)
    }
}
