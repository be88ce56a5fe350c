//! What is asked once is sent once: a server that only ever answers 503 or 429 sees one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use duckworker_api::DuckWorker;
use duckworker_client::Connection;
use kube::api::PostParams;
use kube::{Api, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server on this machine that gives the same answer to everybody, and counts.
async fn server(answer: &'static str) -> std::io::Result<(String, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            counted.fetch_add(1, Ordering::SeqCst);
            let head = "content-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(format!("HTTP/1.1 {answer}\r\n{head}").as_bytes()).await;
        }
    });
    Ok((url, count))
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "any write will do")]
async fn a_failed_write_is_not_sent_again_behind_our_back() {
    for answer in ["503 Service Unavailable", "504 Gateway Timeout", "429 Too Many Requests"] {
        let (url, count) = server(answer).await.unwrap();
        let config = Config::new(url.parse().unwrap());
        assert!(config.default_retry, "the library has changed its default");
        let connection = Connection::new(config).unwrap();
        let api: Api<DuckWorker> = Api::namespaced(connection.client, "default");
        let worker: DuckWorker = serde_json::from_value(serde_json::json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker",
            "metadata": { "name": "w", "resourceVersion": "1" },
            "spec": { "template": { "spec": { "containers": [] } } },
        }))
        .unwrap();
        assert!(api.replace_status("w", &PostParams::default(), &worker).await.is_err());
        assert_eq!(count.load(Ordering::SeqCst), 1, "{answer} was answered and asked again");
    }
}
