//! The HTTP server for kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::readiness::Readiness;

/// How long a scrape may go on once the process ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The server, bound to its address.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    shown: Shown,
}

#[derive(Clone, Debug)]
struct Shown {
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

impl AdminServer {
    /// Binds the address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is not to be had.
    pub async fn bind(
        address: SocketAddr,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, shown: Shown { metrics, readiness } })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop`, and then a moment longer to end what it has begun.
    ///
    /// # Errors
    /// When the server fails; it is not expected to.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let server = axum::serve(self.listener, router(self.shown))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            ended = async { server.await } => ended,
            () = overdue => Ok(()),
        }
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(shown)
}

/// A process whose background task has died ends, so one that answers is alive.
async fn livez() -> &'static str {
    "ok"
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let waiting = shown.readiness.waiting_for();
    if waiting.is_empty() {
        return "ok".into_response();
    }
    let body = format!("waiting for: {}", waiting.join(", "));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

async fn metrics(State(shown): State<Shown>) -> Response {
    match shown.metrics.encode() {
        Ok(page) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn fetch(shown: &Shown, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(shown.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn shown() -> Shown {
        Shown { metrics: Arc::new(Metrics::new()), readiness: Readiness::default() }
    }

    #[tokio::test]
    async fn ready_says_what_it_waits_for() {
        let shown = shown();
        let caches = shown.readiness.part("caches");
        let instance = shown.readiness.part("instance");
        let (status, body) = fetch(&shown, "/readyz").await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "waiting for: caches, instance")
        );
        caches.ready();
        instance.ready();
        assert_eq!(fetch(&shown, "/readyz").await, (StatusCode::OK, "ok".to_owned()));
    }

    #[tokio::test]
    async fn it_lives_while_it_is_not_ready() {
        let shown = shown();
        let _caches = shown.readiness.part("caches");
        assert_eq!(fetch(&shown, "/livez").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_are_shown() {
        let shown = shown();
        shown.metrics.reconciles.start("worker").finish("ok");
        let (status, page) = fetch(&shown, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            page.contains("duckworker_reconciles_total") && page.ends_with("# EOF\n"),
            "{page}"
        );
    }

    #[tokio::test]
    async fn it_ends_when_told_even_with_a_connection_open() {
        let Shown { metrics, readiness } = shown();
        let any = "127.0.0.1:0".parse().unwrap();
        let server = AdminServer::bind(any, metrics, readiness).await.unwrap();
        let address = server.address().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(stop.clone()));
        let _open = tokio::net::TcpStream::connect(address).await.unwrap();
        stop.cancel();
        let ended = tokio::time::timeout(2 * LAST_ANSWERS, serving).await;
        ended.unwrap().unwrap().unwrap();
    }
}
