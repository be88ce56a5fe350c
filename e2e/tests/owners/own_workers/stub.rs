//! A worker process that is not ours: it speaks the actions by the names that duckgres's workers know,
//! and writes down what it hears.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use arrow_flight::Action;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::SqlInfo;
use arrow_flight::sql::server::FlightSqlService;
use duckworker_e2e::PATIENCE;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// One action, as it came in.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its name.
    pub action: String,
    /// What stood in `authorization`.
    pub authorization: Option<String>,
    /// Its body.
    pub body: Value,
}

/// What happened at a stub so far. Clones are the same diary.
#[derive(Debug, Clone, Default)]
pub struct Diary(Arc<watch::Sender<Events>>);

/// What happened, in order.
#[derive(Debug, Clone, Default)]
pub struct Events {
    /// How many connections were accepted.
    pub connections: usize,
    /// All actions.
    pub heard: Vec<Heard>,
}

impl Events {
    /// The actions of one name.
    pub fn of(&self, action: &str) -> Vec<&Heard> {
        self.heard.iter().filter(|heard| heard.action == action).collect()
    }
}

impl Diary {
    /// Waits until this is true of what happened.
    pub async fn await_until(&self, what: &str, is: impl Fn(&Events) -> bool) -> Result<Events> {
        let mut events = self.0.subscribe();
        let found = timeout(PATIENCE, events.wait_for(|events| is(events))).await;
        let found = found.with_context(|| format!("{what}, and not {:?}", self.0.borrow()))?;
        Ok(found?.clone())
    }
}

/// A running stub. Dropping it ends it.
pub struct Stub {
    task: JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    /// Ends it. Its address is free afterwards.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Listens at an address, with this certificate and key in PEM.
    pub async fn serve(
        address: SocketAddr,
        (certificate, key): (&[u8], &[u8]),
        diary: Diary,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| address.to_string())?;
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        let accepted = diary.clone();
        let incoming = TcpIncoming::from(listener)
            .inspect(move |_| accepted.0.send_modify(|events| events.connections += 1));
        let serving = Server::builder()
            .tls_config(tls)?
            .add_service(FlightServiceServer::new(Service { diary }))
            .serve_with_incoming(incoming);
        Ok(Self { task: tokio::spawn(async move { drop(serving.await) }) })
    }
}

struct Service {
    diary: Diary,
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Self;

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}

    /// All actions that are not Flight SQL's own.
    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        let authorization = request.metadata().get("authorization");
        let authorization = authorization.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let action = request.into_inner();
        let body = serde_json::from_slice(&action.body)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let answer = match action.r#type.as_str() {
            "HealthCheck" => json!({ "healthy": true, "sessions": 0, "active_queries": 0 }),
            "ActivateTenant" => json!({ "ok": true }),
            other => return Err(Status::unimplemented(other.to_owned())),
        };
        let heard = Heard { action: action.r#type, authorization, body };
        self.diary.0.send_modify(|events| events.heard.push(heard));
        let answer = arrow_flight::Result { body: answer.to_string().into() };
        Ok(Response::new(stream::iter([Ok(answer)]).boxed()))
    }
}
