//! The process: listens, serves, and ends in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use arrow_flight::flight_service_server::FlightServiceServer;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use zeroize::Zeroizing;

use crate::flight::hub::Hub;
use crate::flight::peer::PeerStream;
use crate::flight::service::SqlService;
use crate::flight::token::BearerToken;

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a silent client is asked whether it is still there, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How much may be under way to the server before it says that it has read.
const WINDOW: u32 = 4 << 20;
/// The largest message of a client: values to bind, or a long statement.
const MESSAGE: usize = 64 << 20;
/// How long clients may take to read the last of their results once all statements have ended.
const FAREWELL: Duration = Duration::from_secs(5);

/// Certificate and key of the server, as PEM.
pub struct Tls {
    certificate: String,
    key: Zeroizing<String>,
}

impl Tls {
    /// Certificate and key that exist.
    pub fn new(certificate: String, key: String) -> Self {
        Self { certificate, key: Zeroizing::new(key) }
    }

    /// Reads `tls.crt` and `tls.key`.
    ///
    /// # Errors
    /// Which of them cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(Self::new(read("tls.crt")?, read("tls.key")?))
    }

    fn config(&self) -> ServerTlsConfig {
        let identity = Identity::from_pem(&self.certificate, self.key.as_bytes());
        ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE)
    }
}

/// A worker that listens.
pub struct Listening {
    hub: Arc<Hub>,
    tls: Tls,
    token: BearerToken,
    listener: TcpListener,
}

impl Listening {
    /// Listens.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub async fn on(
        address: SocketAddr,
        hub: Arc<Hub>,
        tls: Tls,
        token: BearerToken,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
        Ok(Self { hub, tls, token, listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until it is told to stop; then begins nothing new, finishes what runs for at most
    /// this long, and stops what is left.
    ///
    /// # Errors
    /// When certificate and key do not fit, or the server fails.
    pub async fn serve(self, stop: CancellationToken, grace: Duration) -> Result<()> {
        let Self { hub, tls, token, listener } = self;
        let service = FlightServiceServer::new(SqlService::new(Arc::clone(&hub)))
            .max_decoding_message_size(MESSAGE)
            .max_encoding_message_size(usize::MAX);
        let peers = Arc::clone(&hub);
        let connections = TcpListenerStream::new(listener)
            .map_ok(move |stream| PeerStream::new(stream, &peers))
            // A client that is gone before it was accepted is no reason to end.
            .filter(|accepted| futures::future::ready(accepted.is_ok()));
        let over = CancellationToken::new();
        let server = Server::builder()
            .tls_config(tls.config())
            .context("tls.crt and tls.key are no certificate and its key")?
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_service(InterceptedService::new(service, token))
            .serve_with_incoming_shutdown(connections, over.clone().cancelled_owned());
        let drain = async {
            stop.cancelled().await;
            drain(&hub, grace).await;
            over.cancel();
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            result = server => result.context("the server failed")?,
            () = drain => {}
        }
        hub.end_all();
        Ok(())
    }
}

async fn drain(hub: &Hub, grace: Duration) {
    hub.drain();
    let load = hub.load();
    tracing::info!(?load, ?grace, "draining");
    if tokio::time::timeout(grace, hub.drained()).await.is_err() {
        tracing::warn!(load = ?hub.load(), "the time to drain is over; what still runs is stopped");
        hub.end_all();
    }
}
