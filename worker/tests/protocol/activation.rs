//! Whose worker it is.

use arrow_flight::error::FlightError;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{Client, Worker, refused, shown};

fn payload(epoch: i64, tenant: &str, statements: &[&str]) -> Value {
    json!({ "worker_id": "w1", "owner_epoch": epoch, "cp_instance_id": "controller-1",
            "org_id": tenant, "statements": statements })
}

async fn activate(client: &mut Client, body: &Value) -> Result<Value, FlightError> {
    client.action("ActivateTenant", body).await
}

#[tokio::test]
async fn statements_run_before_the_first_session_and_not_twice() {
    let worker = Worker::fenced(&["--name", "w1"]).await;
    let mut client = worker.client().await;
    let (code, message) = refused(client.rows("SELECT 1").await);
    assert_eq!(code, Code::FailedPrecondition, "{message}");
    assert!(message.contains("not activated"), "{message}");
    assert_eq!(refused(client.begin_session().await).0, Code::FailedPrecondition);

    let statements = ["CREATE TABLE t AS SELECT 1 AS a", "INSERT INTO t VALUES (2)"];
    let body = payload(1, "blue", &statements);
    activate(&mut client, &body).await.unwrap();
    activate(&mut client, &body).await.expect("the same payload twice is fine");
    let sum = client.rows("SELECT sum(a)::BIGINT AS sum FROM t").await.unwrap();
    assert!(shown(&sum).contains("| 3 "), "{}", shown(&sum));
    let health = worker.health().await;
    assert_eq!((&health["activated"], &health["owner_epoch"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn concurrent_equal_activations_all_succeed_and_run_once() {
    let worker = Worker::fenced(&[]).await;
    let body = payload(1, "blue", &["CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)"]);
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut client, body) = (worker.client().await, body.clone());
        tries.spawn(async move { activate(&mut client, &body).await.map(|_| ()) });
    }
    for result in tries.join_all().await {
        result.unwrap();
    }
    let rows = worker.client().await.rows("SELECT count(*) AS n FROM t").await.unwrap();
    assert!(shown(&rows).contains("| 1 "), "{}", shown(&rows));
}

#[tokio::test]
async fn lower_epochs_and_other_tenants_and_other_workers_are_refused() {
    let worker = Worker::fenced(&["--name", "w1", "--uid", "u1"]).await;
    let mut client = worker.client().await;
    activate(&mut client, &payload(5, "blue", &[])).await.unwrap();
    let (code, message) = refused(activate(&mut client, &payload(4, "blue", &[])).await);
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.contains('4') && message.contains('5'), "{message}");
    for epoch in [5, 6] {
        let (code, _) = refused(activate(&mut client, &payload(epoch, "red", &[])).await);
        assert_eq!(code, Code::PermissionDenied);
    }
    let other = refused(activate(&mut client, &payload(5, "blue", &["SELECT 1"])).await);
    assert_eq!(other.0, Code::FailedPrecondition, "another payload at the same epoch");
    let mut body = payload(7, "blue", &[]);
    body["worker_id"] = json!("w2");
    assert_eq!(refused(activate(&mut client, &body).await).0, Code::FailedPrecondition);
    assert_eq!(worker.health().await["owner_epoch"], 5, "what was refused does not count");
    worker.assert_healthy().await;
}

#[tokio::test]
async fn a_higher_epoch_replaces_credentials_and_keeps_the_session() {
    let worker = Worker::fenced(&[]).await;
    let mut client = worker.client().await;
    let attach = "ATTACH ':memory:' AS lake";
    let first = payload(1, "blue", &[attach, "SET GLOBAL default_null_order = 'nulls_first'"]);
    activate(&mut client, &first).await.unwrap();
    client.begin_session().await.unwrap();
    client.change("CREATE TEMP TABLE mine AS SELECT 7 AS a").await.unwrap();
    let mut owner = worker.client().await;
    let next = payload(2, "blue", &[attach, "SET GLOBAL default_null_order = 'nulls_last'"]);
    activate(&mut owner, &next).await.expect("the ATTACH is in force and does not run again");
    let rows = client
        .rows("SELECT a, current_setting('default_null_order') AS setting FROM mine")
        .await
        .unwrap();
    let text = shown(&rows).to_lowercase();
    assert!(text.contains("| 7 ") && text.contains("nulls_last"), "{text}");
    assert_eq!(worker.health().await["sessions"], 1);
}

#[tokio::test]
async fn a_failing_statement_is_named_by_number_and_nothing_of_it_is_shown() {
    let worker = Worker::fenced(&[]).await;
    let mut client = worker.client().await;
    let secret = "hunter2-of-blue";
    let failing = format!("ATTACH 'postgres://u:{secret}@nowhere' AS x (TYPE no_such_type)");
    let body = payload(1, "blue", &["SELECT 1", "SELECT 2", &failing, "SELECT 4"]);
    let (code, message) = refused(activate(&mut client, &body).await);
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.contains("statement 3 of 4"), "{message}");
    assert!(!message.contains("hunter2") && !message.contains("no_such"), "{message}");
    assert_eq!(worker.health().await["activated"], false);
    let good = payload(1, "blue", &[&format!("SELECT '{secret}'")]);
    activate(&mut client, &good).await.expect("the owner may try again");
    client.rows("SELECT 1").await.unwrap();
    assert!(!worker.log().contains("hunter2"), "{}", worker.log());
    assert!(worker.log().contains("number=3"), "{}", worker.log());
}

#[tokio::test]
async fn malformed_bodies_are_refused_and_harm_nothing() {
    let worker = Worker::fenced(&[]).await;
    let mut client = worker.client().await;
    let bodies: [&[u8]; 8] = [
        b"",
        b"{",
        b"null",
        b"[1]",
        b"\xff\xfe\x00",
        b"{\"owner_epoch\": 1}",
        b"{\"owner_epoch\": \"1\", \"org_id\": \"blue\"}",
        b"{\"owner_epoch\": 1, \"org_id\": \"blue\", \"statements\": {\"a\": \"hunter2\"}}",
    ];
    for action in ["ActivateTenant", "CreateSession", "DestroySession"] {
        for body in bodies {
            let (code, message) = refused(client.action_of(action, body.to_vec()).await);
            assert_eq!(code, Code::InvalidArgument, "{action} {message}");
            assert!(!message.contains("hunter2") && message.contains(action), "{message}");
        }
    }
    let (code, _) = refused(client.action_of("HealthCheck", b"{".to_vec()).await);
    assert_eq!(code, Code::InvalidArgument);
    let (code, _) = refused(client.action_of("NoSuchAction", b"{}".to_vec()).await);
    assert_eq!(code, Code::Unimplemented);
    let large = vec![b' '; 2 << 20];
    assert_eq!(refused(client.action_of("ActivateTenant", large).await).0, Code::InvalidArgument);
    let health = worker.health().await;
    assert_eq!((&health["healthy"], &health["activated"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn the_health_check_is_never_refused_for_its_epoch() {
    let worker = Worker::fenced(&[]).await;
    let mut client = worker.client().await;
    activate(&mut client, &payload(5, "blue", &[])).await.unwrap();
    for epoch in [0, 4, 5, 600] {
        let body = json!({ "worker_id": "another", "owner_epoch": epoch, "cp_instance_id": "x" });
        let health = client.action("HealthCheck", &body).await.unwrap();
        assert_eq!(health["healthy"], true);
    }
}
