//! Sessions: those that `CreateSession` begins, and those of connections.

use arrow_flight::error::FlightError;
use futures::TryStreamExt as _;
use serde_json::json;
use tonic::Code;

use crate::support::{Worker, await_that, refused, shown};

#[tokio::test]
async fn one_session_a_worker_by_default() {
    let worker = Worker::start(&[]).await;
    let (mut first, mut second) = (worker.client().await, worker.client().await);
    let token = first.begin_session().await.unwrap();
    let (code, message) = refused(second.begin_session().await);
    assert_eq!(code, Code::ResourceExhausted);
    assert!(message.contains("1 session"), "{message}");
    assert_eq!(worker.health().await["sessions"], 1);
    let body = json!({ "session_token": token });
    second.action("DestroySession", &body).await.unwrap();
    assert_eq!(worker.health().await["sessions"], 0);
    assert_eq!(refused(second.action("DestroySession", &body).await).0, Code::NotFound);
    assert_eq!(refused(first.rows("SELECT 1").await).0, Code::NotFound, "its session ended");
    second.begin_session().await.unwrap();
    assert!(!worker.log().contains(&token), "a session's token is a secret");
}

#[tokio::test]
async fn a_session_outlives_its_connection() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let token = client.begin_session().await.unwrap();
    client.change("CREATE TEMP TABLE mine AS SELECT 7 AS a").await.unwrap();
    drop(client);
    for header in ["x-duckworker-session", "x-duckgres-session"] {
        let mut again = worker.client().await;
        again.sql.set_header(header, token.clone());
        assert!(shown(&again.rows("SELECT a FROM mine").await.unwrap()).contains("| 7 "));
    }
    let mut stranger = worker.client().await;
    stranger.sql.set_header("x-duckworker-session", "guessed");
    assert_eq!(refused(stranger.rows("SELECT 1").await).0, Code::NotFound);
}

#[tokio::test]
async fn what_a_connection_begins_ends_with_it() {
    let worker = Worker::start(&["--max-connections", "1"]).await;
    let mut client = worker.client().await;
    client.change("CREATE TABLE t (a INT)").await.unwrap();
    client.change("CREATE TEMP TABLE mine AS SELECT 7 AS a").await.unwrap();
    client.change("BEGIN").await.unwrap();
    client.change("INSERT INTO t VALUES (1)").await.unwrap();
    client.rows("SELECT a FROM mine").await.expect("the same connection, the same session");
    let (code, message) = refused(worker.client().await.rows("SELECT 1").await);
    assert_eq!(code, Code::ResourceExhausted, "{message}");
    drop(client);
    await_that("the connection is forgotten", async || worker.health().await["connections"] == 0)
        .await;
    let mut next = worker.client().await;
    let rows = next.rows("SELECT count(*) AS n FROM t").await.unwrap();
    assert!(shown(&rows).contains("| 0 "), "it was not committed");
    assert_eq!(refused(next.rows("SELECT a FROM mine").await).0, Code::NotFound);
}

#[tokio::test]
async fn the_end_of_a_session_stops_a_statement_that_has_not_answered() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let token = client.begin_session().await.unwrap();
    let mut running = client.clone();
    // The engine has no first row before it has counted all.
    let statement = "SELECT count(*) FROM range(1000000) a, range(1000000) b".to_owned();
    let query = tokio::spawn(async move { running.sql.execute(statement, None).await });
    await_that("it runs", async || worker.health().await["active_queries"] == 1).await;
    let body = json!({ "session_token": token });
    worker.client().await.action("DestroySession", &body).await.unwrap();
    assert_eq!(refused(query.await.unwrap()).0, Code::Cancelled);
    await_that("it stopped", async || worker.health().await["active_queries"] == 0).await;
}

#[tokio::test]
async fn the_end_of_a_session_stops_a_result_on_its_way() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let token = client.begin_session().await.unwrap();
    let statement = "SELECT a.range FROM range(1000000) a, range(1000000) b".to_owned();
    let info = client.sql.execute(statement, None).await.unwrap();
    let mut rows = client.sql.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    rows.try_next().await.unwrap().expect("a first batch");
    let body = json!({ "session_token": token });
    worker.client().await.action("DestroySession", &body).await.unwrap();
    let rest = async {
        while rows.try_next().await?.is_some() {}
        Ok::<_, FlightError>(())
    };
    assert_eq!(refused(rest.await).0, Code::Cancelled);
    await_that("it stopped", async || worker.health().await["active_queries"] == 0).await;
}
