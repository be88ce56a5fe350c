//! Much at once, large results, clients that are slow or gone.

use std::time::{Duration, Instant};

use arrow_flight::CancelFlightInfoRequest;
use futures::TryStreamExt as _;
use prost::Message as _;
use tonic::Code;

use crate::support::{Worker, await_that, count, refused, shown};

/// Never ends by itself.
const ENDLESS: &str = "SELECT count(*) FROM range(10000000) a, range(10000000) b";
/// About a gigabyte.
const LARGE: &str = "SELECT repeat('x', 1000) || i AS text FROM range(1000000) t(i)";
const LARGE_BYTES: usize = 1_000_000_000;

async fn await_idle(worker: &Worker) {
    await_that("nothing runs", async || worker.health().await["active_queries"] == 0).await;
}

#[tokio::test]
async fn a_hundred_connections_at_once() {
    let worker = Worker::start(&[]).await;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..100 {
        let mut client = worker.client().await;
        clients.spawn(async move {
            let query = format!("SELECT sum(i + {number}) AS s FROM range(100000) t(i)");
            count(&client.rows(&query).await.unwrap())
        });
    }
    assert_eq!(clients.join_all().await, [1; 100]);
    worker.assert_healthy().await;
    await_that("all are forgotten", async || worker.health().await["connections"] == 0).await;
}

#[tokio::test]
async fn more_connections_than_allowed_get_a_status() {
    let worker = Worker::start(&["--max-connections", "5"]).await;
    let mut clients = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..20 {
        let mut client = worker.client().await;
        answers.push(client.rows("SELECT 1").await);
        clients.push(client);
    }
    let (served, denied): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((served.len(), denied.len()), (5, 15));
    for answer in denied {
        assert_eq!(refused(answer).0, Code::ResourceExhausted);
    }
    drop(clients);
    await_that("all are forgotten", async || worker.health().await["connections"] == 0).await;
    worker.assert_healthy().await;
}

#[tokio::test]
async fn a_result_larger_than_memory_streams_in_bounded_memory() {
    let worker = Worker::start(&["--memory-limit", "256MB", "--threads", "2"]).await;
    let mut client = worker.client().await;
    client.rows("SELECT 1").await.unwrap();
    let before = worker.memory("VmRSS");
    let info = client.sql.execute(LARGE.to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut rows = client.sql.do_get(ticket).await.unwrap();
    let (mut count, mut bytes) = (0, 0);
    while let Some(batch) = rows.try_next().await.unwrap() {
        count += batch.num_rows();
        bytes += batch.get_array_memory_size();
    }
    assert_eq!(count, 1_000_000);
    assert!(bytes > LARGE_BYTES, "{bytes}");
    let grown = worker.memory("VmHWM").saturating_sub(before) / (1 << 20);
    println!("a result of {} MiB: memory grew by {grown} MiB at most", bytes >> 20);
    // What the engine may use, and what is on its way.
    assert!(grown < 400, "by {grown} MiB");
}

#[tokio::test]
async fn a_slow_reader_makes_the_engine_wait() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    client.rows("SELECT 1").await.unwrap();
    let before = worker.memory("VmRSS");
    let info = client.sql.execute(LARGE.to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut rows = client.sql.do_get(ticket).await.unwrap();
    rows.try_next().await.unwrap().unwrap();
    // Long enough for the engine to make all of it, if nothing held it back.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let grown = worker.memory("VmRSS").saturating_sub(before) / (1 << 20);
    assert!(grown < 200, "by {grown} MiB");
    assert_eq!(worker.health().await["active_queries"], 1);
    let rest: Vec<_> = rows.try_collect().await.unwrap();
    assert!(count(&rest) > 900_000);
    await_idle(&worker).await;
}

#[tokio::test]
async fn a_client_that_is_gone_stops_its_statement() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let info = client.sql.execute(LARGE.to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut rows = client.sql.do_get(ticket).await.unwrap();
    rows.try_next().await.unwrap().unwrap();
    drop((rows, client));
    await_idle(&worker).await;

    let mut client = worker.client().await;
    let query = tokio::spawn(async move { client.rows(ENDLESS).await });
    await_that("it runs", async || worker.health().await["active_queries"] == 1).await;
    query.abort();
    await_idle(&worker).await;
    worker.assert_healthy().await;
}

#[tokio::test]
async fn half_a_stream_leaves_the_session_usable() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    client.change("CREATE TEMP TABLE mine AS SELECT 7 AS a").await.unwrap();
    for _ in 0..5 {
        let info = client.sql.execute(LARGE.to_owned(), None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let mut rows = client.sql.do_get(ticket).await.unwrap();
        rows.try_next().await.unwrap().unwrap();
        drop(rows);
        let rows = client.rows("SELECT a FROM mine").await.unwrap();
        assert!(shown(&rows).contains("| 7 "));
    }
}

#[tokio::test]
async fn a_statement_can_be_cancelled_by_its_info() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let info = client.sql.execute(LARGE.to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut rows = client.sql.do_get(ticket).await.unwrap();
    rows.try_next().await.unwrap().unwrap();
    let body = CancelFlightInfoRequest { info: Some(info) }.encode_to_vec();
    let action = arrow_flight::Action::new("CancelFlightInfo", body);
    let results: Vec<_> = client.sql.do_action(action).await.unwrap().try_collect().await.unwrap();
    let result = arrow_flight::CancelFlightInfoResult::decode(&*results[0].body).unwrap();
    assert_eq!(result.status(), arrow_flight::CancelStatus::Cancelled);
    let rest: Result<Vec<_>, _> = rows.try_collect().await;
    assert_eq!(refused(rest).0, Code::Cancelled);
    client.rows("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped() {
    let worker = Worker::start(&["--query-timeout-seconds", "1"]).await;
    let mut client = worker.client().await;
    let started = Instant::now();
    let (code, message) = refused(client.rows(ENDLESS).await);
    assert_eq!(code, Code::DeadlineExceeded, "{message}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let (code, _) = refused(client.change(&format!("CREATE TABLE t AS {ENDLESS}")).await);
    assert_eq!(code, Code::DeadlineExceeded);
    client.rows("SELECT 1").await.expect("the session goes on");
}

/// The time is that of the client as well: it counts until the last row is sent.
#[tokio::test]
async fn a_result_that_is_read_too_slowly_holds_its_session_no_longer() {
    let flags = ["--query-timeout-seconds", "1", "--busy-timeout-seconds", "30"];
    let worker = Worker::start(&flags).await;
    let mut client = worker.client().await;
    let info = client.sql.execute(LARGE.to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut rows = client.sql.do_get(ticket).await.unwrap();
    rows.try_next().await.unwrap().unwrap();
    // Nothing more is read, and most of the rows wait in the engine.
    let started = Instant::now();
    client.rows("SELECT 1").await.expect("the session goes on");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let rest: Result<Vec<_>, _> = rows.try_collect().await;
    assert_eq!(refused(rest).0, Code::DeadlineExceeded);
    await_idle(&worker).await;
}

#[tokio::test]
async fn an_unclaimed_result_is_dropped_and_a_busy_session_says_so() {
    let flags = ["--busy-timeout-seconds", "1", "--result-timeout-seconds", "3"];
    let worker = Worker::start(&flags).await;
    let mut client = worker.client().await;
    let info = client.sql.execute(LARGE.to_owned(), None).await.unwrap();
    let (code, message) = refused(client.rows("SELECT 1").await);
    assert_eq!(code, Code::ResourceExhausted);
    assert!(message.contains("busy"), "{message}");
    await_idle(&worker).await;
    client.rows("SELECT 1").await.unwrap();
    assert_eq!(refused(client.fetch(info).await).0, Code::NotFound);
}

#[tokio::test]
async fn results_that_fit_into_the_buffer_do_not_block_each_other() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let first = client.sql.execute("SELECT 1 AS a".to_owned(), None).await.unwrap();
    let second = client.sql.execute("SELECT 2 AS a".to_owned(), None).await.unwrap();
    assert!(shown(&client.fetch(second).await.unwrap()).contains("| 2 "));
    assert!(shown(&client.fetch(first).await.unwrap()).contains("| 1 "));
}

#[tokio::test]
async fn health_answers_while_the_engine_is_busy_on_all_threads() {
    let worker = Worker::start(&["--threads", "2", "--probe-seconds", "1"]).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = worker.client().await;
        clients.spawn(async move { client.rows(ENDLESS).await.map(|_| ()) });
    }
    await_that("all run", async || worker.health().await["active_queries"] == 8).await;
    for _ in 0..10 {
        let started = Instant::now();
        assert_eq!(worker.health().await["healthy"], true);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    }
    clients.abort_all();
    await_idle(&worker).await;
}

#[tokio::test]
async fn memory_that_is_used_up_is_a_status() {
    let worker =
        Worker::start(&["--memory-limit", "50MB", "--setting", "max_temp_directory_size=0B"]).await;
    let mut client = worker.client().await;
    let sort = "SELECT i FROM (SELECT md5(i::VARCHAR) AS i FROM range(20000000) t(i)) ORDER BY i";
    let (code, message) = refused(client.rows(sort).await);
    assert_eq!(code, Code::ResourceExhausted, "{message}");
    worker.assert_healthy().await;
}
