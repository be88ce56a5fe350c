//! Talking to a stub in a pod of a real node, over the pod's own address.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use super::images;
use crate::{ready::until_it_answers, worker};

/// The port on which a stub serves HTTP.
pub const PORT: u16 = 8816;
/// Longer than any answer of a stub may take.
const ANSWER: Duration = Duration::from_secs(10);

/// A worker whose pod is a stub.
pub fn worker(name: &str) -> Value {
    let mut worker = worker::plain(name);
    worker["spec"]["template"]["spec"]["containers"][0] = json!({
        "name": "duckdb",
        "image": images::STUB,
        // Without it a container counts as ready before its process listens.
        "readinessProbe": { "httpGet": { "path": "/", "port": PORT }, "periodSeconds": 1 },
    });
    worker
}

/// The ids of a pod's containers.
pub fn containers(pod: &Pod) -> Vec<String> {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses
        .filter_map(|status| status.container_id.as_deref()?.strip_prefix("containerd://"))
        .map(str::to_owned)
        .collect()
}

/// The address of a pod.
///
/// # Errors
/// When it has none.
pub fn address(pod: &Pod) -> Result<&str> {
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
    address.context("the pod has no address")
}

/// Waits until a stub serves: one without a readiness probe may be ready before.
///
/// # Errors
/// When nobody answers within a minute.
pub async fn await_serving(pod: &Pod) -> Result<()> {
    until_it_answers("the stub", async || ask(pod, "GET /").await.map(drop)).await
}

/// Sends a request such as `GET /`, and returns the whole answer.
///
/// # Errors
/// When nobody answers, or the stub dies of it.
pub async fn ask(pod: &Pod, request: &str) -> Result<String> {
    let conversation = async {
        let mut stream = request_to(address(pod)?, request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        ensure!(!answer.is_empty(), "the stub hung up");
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(ANSWER, conversation).await.context("no answer")?
}

async fn request_to(address: &str, request: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect((address, PORT)).await?;
    let head = "HTTP/1.1\r\nHost: stub\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(format!("{request} {head}").as_bytes()).await?;
    Ok(stream)
}

/// A request whose answer never ends, as a long query: it shows that a worker was never disturbed.
pub struct LongQuery {
    reading: JoinHandle<Result<()>>,
}

impl LongQuery {
    /// Begins one.
    ///
    /// # Errors
    /// When the stub does not answer.
    pub async fn begin(pod: &Pod) -> Result<Self> {
        await_serving(pod).await?;
        let mut stream = request_to(address(pod)?, "GET /stream").await?;
        let mut buffer = vec![0; 4096];
        ensure!(stream.read(&mut buffer).await? > 0, "the stub hung up");
        let reading = tokio::spawn(async move {
            loop {
                let next = tokio::time::timeout(ANSWER, stream.read(&mut buffer)).await;
                ensure!(next.context("the stub fell silent")?? > 0, "the stub hung up");
            }
        });
        Ok(Self { reading })
    }

    /// Ends it well.
    ///
    /// # Errors
    /// When it had broken before.
    pub async fn end(self) -> Result<()> {
        if self.reading.is_finished() {
            return self.reading.await?.context("the query broke");
        }
        self.reading.abort();
        Ok(())
    }
}
