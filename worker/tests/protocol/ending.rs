//! SIGTERM, and an engine that broke.

use std::time::Duration;

use tonic::Code;

use crate::support::{Client, Start, Worker, await_that, count, refused};

/// Some seconds of work.
const LONG: &str =
    "SELECT count(*) AS n FROM range(40000) a, range(40000) b WHERE a.range <> b.range";
const ENDLESS: &str = "SELECT count(*) FROM range(10000000) a, range(10000000) b";
const QUICKLY: Duration = Duration::from_secs(10);

async fn is_draining(client: &mut Client) -> bool {
    let health = client.action("HealthCheck", &serde_json::json!({})).await;
    health.is_ok_and(|health| health["draining"] == true)
}

/// Waits until it drains, seen over a connection that was there before.
async fn await_draining(client: &mut Client) {
    await_that("it drains", async || is_draining(client).await).await;
}

#[tokio::test]
async fn an_idle_worker_ends_at_once() {
    let mut worker = Worker::start(&[]).await;
    let mut idle = worker.client().await;
    idle.rows("SELECT 1").await.unwrap();
    worker.signal("TERM");
    assert!(worker.ended(QUICKLY).await, "{}", worker.log());
}

#[tokio::test]
async fn a_running_query_is_finished_and_nothing_new_begins() {
    let mut worker = Worker::start(&["--threads", "1"]).await;
    let (mut client, mut watcher) = (worker.client().await, worker.client().await);
    let mut idle = worker.client().await;
    idle.rows("SELECT 1").await.unwrap();
    let query = tokio::spawn(async move { client.rows(LONG).await });
    await_that("it runs", async || worker.health().await["active_queries"] == 1).await;
    worker.signal("TERM");
    await_draining(&mut watcher).await;
    assert!(!worker.has_ended());
    let (code, message) = refused(idle.rows("SELECT 1").await);
    assert_eq!(code, Code::Unavailable);
    assert!(message.contains("draining"), "{message}");
    let (code, _) = refused(worker.client().await.begin_session().await);
    assert_eq!(code, Code::Unavailable);
    assert_eq!(count(&query.await.unwrap().unwrap()), 1, "the query got its answer");
    assert!(worker.ended(QUICKLY).await, "{}", worker.log());
}

#[tokio::test]
async fn a_large_result_is_sent_to_the_end() {
    let mut worker = Worker::start(&[]).await;
    let (mut client, mut watcher) = (worker.client().await, worker.client().await);
    let query = "SELECT repeat('x', 1000) || i AS text FROM range(100000) t(i)";
    let info = client.sql.execute(query.to_owned(), None).await.unwrap();
    worker.signal("TERM");
    await_draining(&mut watcher).await;
    assert_eq!(count(&client.fetch(info).await.unwrap()), 100_000);
    assert!(worker.ended(QUICKLY).await);
}

#[tokio::test]
async fn a_session_goes_on_until_it_is_destroyed() {
    let mut worker = Worker::start(&[]).await;
    let (mut client, mut watcher) = (worker.client().await, worker.client().await);
    let token = client.begin_session().await.unwrap();
    worker.signal("TERM");
    await_draining(&mut watcher).await;
    for _ in 0..3 {
        client.rows("SELECT 1").await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!worker.has_ended());
    let body = serde_json::json!({ "session_token": token });
    watcher.action("DestroySession", &body).await.unwrap();
    assert!(worker.ended(QUICKLY).await);
}

#[tokio::test]
async fn a_transaction_can_be_committed() {
    let mut worker = Worker::start(&[]).await;
    let (mut client, mut watcher) = (worker.client().await, worker.client().await);
    client.change("CREATE TABLE t (a INT)").await.unwrap();
    client.change("BEGIN").await.unwrap();
    worker.signal("TERM");
    await_draining(&mut watcher).await;
    client.change("INSERT INTO t VALUES (1)").await.unwrap();
    assert!(!worker.has_ended());
    client.change("COMMIT").await.unwrap();
    assert!(worker.ended(QUICKLY).await);
}

#[tokio::test]
async fn what_takes_longer_than_the_grace_is_stopped() {
    let mut worker = Worker::start(&["--drain-timeout-seconds", "1"]).await;
    let mut client = worker.client().await;
    let query = tokio::spawn(async move { client.rows(ENDLESS).await });
    await_that("it runs", async || worker.health().await["active_queries"] == 1).await;
    worker.signal("TERM");
    let (code, message) = refused(query.await.unwrap());
    assert_eq!(code, Code::Unavailable, "{message}");
    assert!(worker.ended(QUICKLY).await, "{}", worker.log());
}

#[tokio::test]
async fn a_broken_engine_is_reported() {
    // No file may grow past a few megabytes, and the engine cannot undo a write of its file.
    let worker = Worker::start_as(Start {
        flags: &["--database", "data.duckdb", "--setting", "wal_autocheckpoint=1KB"],
        shell: Some("trap '' XFSZ; ulimit -f 4096;"),
        ..Start::default()
    })
    .await;
    let mut client = worker.client().await;
    client.change("CREATE TABLE t (a VARCHAR)").await.unwrap();
    let fill = "INSERT INTO t SELECT md5(i::VARCHAR) FROM range(10000) t(i)";
    let mut failure = None;
    for _ in 0..60 {
        assert_eq!(worker.health().await["instance_invalidated"], false);
        if let Err(error) = client.change(fill).await {
            failure = Some(refused::<()>(Err(error)));
            break;
        }
    }
    let (code, message) = failure.unwrap();
    assert_eq!(code, Code::Internal, "{message}");
    let health = worker.health().await;
    assert_eq!(health["instance_invalidated"], true, "{health} {message}");
    assert_eq!(health["healthy"], false, "{health}");
    let (code, _) = refused(worker.client().await.rows("SELECT 1").await);
    assert_eq!(code, Code::Internal);
}
