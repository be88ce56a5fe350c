//! Who may talk to the worker.

use arrow_flight::Ticket;
use arrow_flight::sql::client::FlightSqlServiceClient;
use serde_json::json;
use tonic::Code;
use tonic::transport::Channel;

use crate::support::{Client, SERVER_NAME, Start, TOKEN, Worker, certificate, refused};

#[tokio::test]
async fn no_token_and_a_wrong_token_are_refused_for_every_call() {
    let worker = Worker::start(&[]).await;
    for token in [None, Some("wrong"), Some(""), Some(&TOKEN[1..])] {
        let channel = worker.channel(worker.certificate()).await.unwrap();
        let mut client = FlightSqlServiceClient::new(channel);
        if let Some(token) = token {
            client.set_token(token.to_owned());
        }
        let calls = [
            refused(client.execute("SELECT 1".to_owned(), None).await),
            refused(client.execute_update("SELECT 1".to_owned(), None).await),
            refused(client.prepare("SELECT 1".to_owned(), None).await.map(|_| ())),
            refused(client.get_catalogs().await),
        ];
        let mut calls = calls.to_vec();
        calls.push(refused(client.do_get(Ticket::new("any")).await.map(|_| ())));
        let mut client = Client { sql: client };
        for action in ["HealthCheck", "ActivateTenant", "CreateSession", "CancelFlightInfo"] {
            calls.push(refused(client.action(action, &json!({})).await));
        }
        for (code, message) in calls {
            assert_eq!(code, Code::Unauthenticated, "{token:?}: {message}");
            assert!(!message.contains(TOKEN));
        }
    }
    worker.assert_healthy().await;
    assert!(!worker.log().contains(TOKEN));
}

#[tokio::test]
async fn a_client_that_pinned_another_certificate_does_not_connect() {
    let worker = Worker::start(&[]).await;
    let (foreign, _) = certificate(SERVER_NAME, false);
    let error = worker.channel(&foreign).await.unwrap_err();
    let shown = format!("{error:?}");
    assert!(shown.contains("UnknownIssuer") || shown.contains("BadSignature"), "{shown}");
    worker.assert_healthy().await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_a_client_that_pinned_it() {
    let worker = Worker::start_as(Start { is_expired: true, ..Start::default() }).await;
    let error = worker.channel(worker.certificate()).await.unwrap_err();
    assert!(format!("{error:?}").contains("Expired"), "{error:?}");
}

#[tokio::test]
async fn nothing_is_said_without_tls() {
    let worker = Worker::start(&[]).await;
    let address = format!("http://127.0.0.1:{}", worker.port());
    let plain = Channel::from_shared(address).unwrap().connect().await;
    if let Ok(channel) = plain {
        let mut client = FlightSqlServiceClient::new(channel);
        client.set_token(TOKEN.to_owned());
        let (code, _) = refused(client.execute("SELECT 1".to_owned(), None).await);
        assert!([Code::Unavailable, Code::Unknown, Code::Internal].contains(&code), "{code:?}");
    }
    worker.assert_healthy().await;
}

#[tokio::test]
async fn a_worker_does_not_start_without_a_token() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_duckdb-worker"))
        .args(["--port", "0"])
        .env_remove("DUCKWORKER_TOKEN")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("DUCKWORKER_TOKEN"), "{said}");
}
