//! Statements and their results.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow_flight::{FlightDescriptor, Ticket};
use tonic::Code;

use crate::support::{Client, TOKEN, Worker, count, refused, shown, together};

fn numbers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

async fn sum(client: &mut Client, table: &str) -> i64 {
    let query = format!("SELECT coalesce(sum(a), 0)::BIGINT AS sum FROM {table}");
    let rows = client.rows(&query).await.unwrap();
    rows[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn the_info_has_the_schema_of_the_rows() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let query = "SELECT i, 'x' || i AS text FROM range(100000) t(i)";
    let info = client.sql.execute(query.to_owned(), None).await.unwrap();
    let schema = info.clone().try_decode_schema().unwrap();
    let rows = client.fetch(info).await.unwrap();
    assert_eq!(rows[0].schema().fields(), schema.fields());
    assert_eq!(count(&rows), 100_000);
    let all = together(&rows);
    let values = all.column(0).as_primitive::<Int64Type>();
    assert!((0..100_000).all(|row| values.value(row) == i64::try_from(row).unwrap()));
    assert_eq!(all.column(1).as_string::<i32>().value(99_999), "x99999");
}

#[tokio::test]
async fn a_result_without_rows_has_a_schema() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let info = client.sql.execute("SELECT 1 AS a WHERE false".to_owned(), None).await.unwrap();
    assert_eq!(info.clone().try_decode_schema().unwrap().field(0).name(), "a");
    assert_eq!(count(&client.fetch(info).await.unwrap()), 0);
}

#[tokio::test]
async fn a_result_can_be_fetched_once() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let info = client.sql.execute("SELECT 1".to_owned(), None).await.unwrap();
    client.fetch(info.clone()).await.unwrap();
    assert_eq!(refused(client.fetch(info).await).0, Code::NotFound);
}

#[tokio::test]
async fn changes_say_how_many_rows_they_changed() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    client.change("CREATE TABLE t (a BIGINT)").await.unwrap();
    assert_eq!(client.change("INSERT INTO t VALUES (1), (2), (3)").await.unwrap(), 3);
    assert_eq!(client.change("UPDATE t SET a = a + 1 WHERE a > 1").await.unwrap(), 2);
    let returned = client.rows("DELETE FROM t WHERE a = 4 RETURNING a").await.unwrap();
    assert_eq!(count(&returned), 1);
    assert_eq!(sum(&mut client, "t").await, 4);
    client.rows("CREATE TABLE u (a INT)").await.expect("a change may come as a query");
    client.rows("SELECT * FROM u").await.unwrap();
}

#[tokio::test]
async fn a_script_answers_with_its_last_statement() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let script = "CREATE TABLE t (a INT); INSERT INTO t VALUES (5); SELECT a FROM t";
    assert!(shown(&client.rows(script).await.unwrap()).contains("| 5 "));
}

#[tokio::test]
async fn wrong_statements_say_what_is_wrong() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    client.change("CREATE TABLE t (a INT PRIMARY KEY)").await.unwrap();
    client.change("INSERT INTO t VALUES (1)").await.unwrap();
    let cases = [
        ("SELEC 1", Code::InvalidArgument, "syntax error"),
        ("SELECT nothing FROM t", Code::InvalidArgument, "nothing"),
        ("SELECT * FROM no_such_table", Code::NotFound, "no_such_table"),
        ("SELECT 'x'::INT", Code::InvalidArgument, "Could not convert"),
        ("INSERT INTO t VALUES (1)", Code::FailedPrecondition, "Duplicate key"),
        ("SELECT 1/0 + error('told')::INT", Code::InvalidArgument, "told"),
        ("", Code::InvalidArgument, ""),
        ("SELECT 1 \0 + 1", Code::InvalidArgument, ""),
    ];
    for (statement, code, words) in cases {
        let (found, message) = refused(client.rows(statement).await);
        assert_eq!(found, code, "{statement}: {message}");
        assert!(message.contains(words), "{statement}: {message}");
    }
    let long = format!("SELECT '{}' FROM no_such_table", "x".repeat(100_000));
    assert_eq!(refused(client.rows(&long).await).0, Code::NotFound);
    worker.assert_healthy().await;
}

#[tokio::test]
async fn an_error_after_some_rows_reaches_the_client() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let query = "SELECT CASE WHEN i = 3000000 THEN error('late')::BIGINT ELSE i END AS i \
                 FROM range(4000000) t(i)";
    let info = client.sql.execute(query.to_owned(), None).await.unwrap();
    let (code, message) = refused(client.fetch(info).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("late"), "{message}");
    worker.assert_healthy().await;
}

#[tokio::test]
async fn a_prepared_query_runs_with_what_is_bound() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let query = "SELECT i, $2 AS text FROM range(10) t(i) WHERE i >= $1 ORDER BY i";
    let mut prepared = client.sql.prepare(query.to_owned(), None).await.unwrap();
    assert_eq!(prepared.dataset_schema().unwrap().fields().len(), 2);
    assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 2);
    for from in [8, 3] {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["ü"]));
        prepared.set_parameters(batch(vec![("1", numbers(&[from])), ("2", text)])).unwrap();
        let info = prepared.execute().await.unwrap();
        let rows = client.fetch(info).await.unwrap();
        assert_eq!(count(&rows), usize::try_from(10 - from).unwrap());
        assert!(shown(&rows).contains('ü'));
    }
    prepared.close().await.unwrap();
}

#[tokio::test]
async fn a_prepared_change_runs_for_each_row_or_for_none() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    client.change("CREATE TABLE t (a BIGINT PRIMARY KEY)").await.unwrap();
    let insert = "INSERT INTO t VALUES (?)";
    let mut prepared = client.sql.prepare(insert.to_owned(), None).await.unwrap();
    assert_eq!(prepared.dataset_schema().unwrap().fields().len(), 0);
    prepared.set_parameters(batch(vec![("a", numbers(&[1, 2, 3]))])).unwrap();
    assert_eq!(prepared.execute_update().await.unwrap(), 3);
    prepared.set_parameters(batch(vec![("a", numbers(&[4, 5, 1]))])).unwrap();
    assert_eq!(refused(prepared.execute_update().await).0, Code::FailedPrecondition);
    assert_eq!(sum(&mut client, "t").await, 6, "nothing of the failed run is there");
}

#[tokio::test]
async fn parameters_have_types_where_these_follow_from_the_statement() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    client.change("CREATE TABLE t (a BIGINT, price DECIMAL(9, 2))").await.unwrap();
    client.change("CREATE TEMP TABLE mine (a BIGINT)").await.unwrap();
    let cases = [
        ("INSERT INTO t VALUES (?, ?)", vec![DataType::Int64, DataType::Decimal128(9, 2)]),
        ("SELECT ?", vec![DataType::Utf8]),
        ("SELECT * FROM mine WHERE a = ?", vec![DataType::Utf8]),
    ];
    for (statement, expected) in cases {
        let prepared = client.sql.prepare(statement.to_owned(), None).await.unwrap();
        let schema = prepared.parameter_schema().unwrap();
        let types: Vec<_> = schema.fields().iter().map(|f| f.data_type().clone()).collect();
        assert_eq!(types, expected, "{statement}");
    }
}

#[tokio::test]
async fn too_few_and_too_many_parameters_are_refused() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let mut prepared = client.sql.prepare("SELECT ? + ?".to_owned(), None).await.unwrap();
    prepared.set_parameters(batch(vec![("a", numbers(&[1]))])).unwrap();
    assert_eq!(refused(prepared.execute().await).0, Code::InvalidArgument);
    let (code, _) = refused(client.rows("SELECT ?").await);
    assert_eq!(code, Code::InvalidArgument, "a statement with parameters has to be prepared");
    worker.assert_healthy().await;
}

#[tokio::test]
async fn what_was_closed_or_never_made_is_not_found() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let mut prepared = client.sql.prepare("SELECT 1".to_owned(), None).await.unwrap();
    let mut other = worker.client().await;
    let info = prepared.execute().await.unwrap();
    assert_eq!(refused(other.fetch(info).await).0, Code::NotFound, "another client's result");
    let mut again = client.sql.prepare("SELECT 2".to_owned(), None).await.unwrap();
    again.execute().await.unwrap();
    prepared.close().await.unwrap();
    again.close().await.unwrap();
    for wrong in ["SELEC", "SELECT 1; SELECT 2", ""] {
        let (code, _) = refused(client.sql.prepare(wrong.to_owned(), None).await.map(|_| ()));
        assert_eq!(code, Code::InvalidArgument, "{wrong}");
    }
}

#[tokio::test]
async fn what_is_no_ticket_and_no_command_is_refused() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    for bytes in [&b""[..], b"guessed", b"\xff\xff\xff\xff\xff", &[0; 1000]] {
        let ticket = Ticket::new(bytes.to_vec());
        let answer = client.sql.do_get(ticket).await.map(|_| ());
        let (code, message) = refused(answer);
        assert!([Code::InvalidArgument, Code::Unimplemented].contains(&code), "{code:?} {message}");
        let request = FlightDescriptor::new_cmd(bytes.to_vec());
        let answer = client.sql.inner_mut().get_flight_info(bearing_token(request)).await;
        let code = answer.unwrap_err().code();
        assert!([Code::InvalidArgument, Code::Unimplemented].contains(&code), "{code:?}");
    }
    for body in [b"{}".to_vec(), vec![0xff; 100]] {
        let (code, message) = refused(client.action_of("CancelFlightInfo", body).await);
        assert_eq!(code, Code::InvalidArgument, "{message}");
    }
    worker.assert_healthy().await;
}

fn bearing_token(request: FlightDescriptor) -> tonic::Request<FlightDescriptor> {
    let mut request = tonic::Request::new(request);
    let header = format!("Bearer {TOKEN}").parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    request
}

#[tokio::test]
async fn nothing_of_statements_and_values_is_logged() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    client.rows("SELECT 'hunter2' AS a").await.unwrap();
    refused(client.rows("SELECT 'hunter2'::INT").await);
    refused(client.rows("SELECT * FROM hunter2").await);
    refused(client.rows("SELEC hunter2").await);
    let mut prepared = client.sql.prepare("SELECT ?::INT".to_owned(), None).await.unwrap();
    let value: ArrayRef = Arc::new(StringArray::from(vec!["hunter2"]));
    prepared.set_parameters(batch(vec![("a", value)])).unwrap();
    refused(prepared.execute().await.map(|_| ()));
    let log = worker.log();
    assert!(log.contains("a statement failed"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn transactions_are_the_sessions_own() {
    let worker = Worker::start(&[]).await;
    let (mut client, mut other) = (worker.client().await, worker.client().await);
    client.change("CREATE TABLE t (a BIGINT)").await.unwrap();
    for (commits, expected) in [(false, 0), (true, 1)] {
        let id = client.sql.begin_transaction().await.unwrap();
        let insert = "INSERT INTO t VALUES (1)".to_owned();
        client.sql.execute_update(insert.clone(), Some(id.clone())).await.unwrap();
        assert_eq!(sum(&mut other, "t").await, 0, "not committed yet");
        let foreign = other.sql.execute_update(insert, Some(id.clone())).await;
        assert_eq!(refused(foreign).0, Code::NotFound);
        end(&mut client, id, commits).await;
        assert_eq!(sum(&mut other, "t").await, expected);
    }
}

async fn end(client: &mut Client, id: bytes::Bytes, commits: bool) {
    use arrow_flight::sql::EndTransaction::{Commit, Rollback};
    let end = if commits { Commit } else { Rollback };
    client.sql.end_transaction(id, end).await.unwrap();
}
