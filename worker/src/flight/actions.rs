//! Our own actions, with JSON bodies.

use arrow_flight::sql::{Any, TicketStatementQuery};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use prost::Message as _;
use serde::Serialize;
use tonic::{Response, Status};

use super::desk::Desk;
use super::hub::Hub;
use super::status;
use crate::engine::Cause;
use crate::rules::bodies::{self, ActivateTenant, CreateSession, DestroySession, SessionCreated};

/// Name and purpose of each.
const ACTIONS: [(&str, &str); 5] = [
    ("HealthCheck", "How the worker is. The body is empty or any JSON object."),
    ("ActivateTenant", "Gives the worker to a tenant, or to a later owner of the same tenant."),
    ("CreateSession", "Begins a session; answers with its token."),
    ("DestroySession", "Ends a session."),
    ("CancelFlightInfo", "Stops a statement. The body is a CancelFlightInfoRequest."),
];

type Results = BoxStream<'static, Result<arrow_flight::Result, Status>>;

/// What `ListActions` says of them.
pub fn list() -> Vec<Result<ActionType, Status>> {
    let action = |(name, purpose): &(&str, &str)| {
        Ok(ActionType { r#type: (*name).to_owned(), description: (*purpose).to_owned() })
    };
    ACTIONS.iter().map(action).collect()
}

/// Carries out an action that concerns the worker as a whole; none if it is not one of those.
pub async fn control(hub: &Hub, action: &Action) -> Option<Result<Response<Results>, Status>> {
    let body = &action.body;
    Some(match action.r#type.as_str() {
        "HealthCheck" => health(hub, body),
        "ActivateTenant" => activate(hub, body).await,
        "CreateSession" => create(hub, body).await,
        "DestroySession" => destroy(hub, body),
        _ => return None,
    })
}

fn health(hub: &Hub, body: &[u8]) -> Result<Response<Results>, Status> {
    bodies::health_check(body).map_err(|e| status::of_malformed(&e))?;
    json(&hub.health())
}

async fn activate(hub: &Hub, body: &[u8]) -> Result<Response<Results>, Status> {
    let body = ActivateTenant::read(body).map_err(|e| status::of_malformed(&e))?;
    hub.activate(body).await?;
    json(&serde_json::json!({}))
}

async fn create(hub: &Hub, body: &[u8]) -> Result<Response<Results>, Status> {
    let body = CreateSession::read(body).map_err(|e| status::of_malformed(&e))?;
    let token = hub.create_session().await?;
    tracing::info!(username = %body.username, "a session began");
    json(&SessionCreated { session_token: &token })
}

fn destroy(hub: &Hub, body: &[u8]) -> Result<Response<Results>, Status> {
    let body = DestroySession::read(body).map_err(|e| status::of_malformed(&e))?;
    if !hub.destroy_session(body.session_token.text()) {
        return Err(Status::not_found("there is no such session"));
    }
    tracing::info!("a session ended");
    json(&serde_json::json!({}))
}

/// Whether the action is `CancelFlightInfo`.
pub fn is_cancel(action: &Action) -> bool {
    action.r#type == "CancelFlightInfo"
}

/// Stops the statement whose result an info tells of.
pub fn cancel(desk: &Desk, action: &Action) -> Result<Response<Results>, Status> {
    let malformed = |_| Status::invalid_argument("the body is not a CancelFlightInfoRequest");
    let request = CancelFlightInfoRequest::decode(&*action.body).map_err(malformed)?;
    let stopped = request.info.is_some_and(|info| cancel_info(desk, &info));
    let status = if stopped { CancelStatus::Cancelled } else { CancelStatus::NotCancellable };
    one(CancelFlightInfoResult { status: status.into() }.encode_to_vec().into())
}

/// Stops the statement whose result an info tells of. Whether there was one.
pub fn cancel_info(desk: &Desk, info: &FlightInfo) -> bool {
    let tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
    let handles = tickets.filter_map(|ticket| {
        let any = Any::decode(&*ticket.ticket).ok()?;
        any.unpack::<TicketStatementQuery>().ok()?
    });
    let cancel = |query: TicketStatementQuery| {
        std::str::from_utf8(&query.statement_handle)
            .is_ok_and(|handle| desk.results.cancel(handle, Cause::Client))
    };
    let cancelled = handles.map(cancel).filter(|cancelled| *cancelled).count();
    cancelled > 0
}

fn json(value: &impl Serialize) -> Result<Response<Results>, Status> {
    let body = serde_json::to_vec(value);
    one(body.map_err(|_| Status::internal("the answer cannot be written"))?.into())
}

#[allow(clippy::unnecessary_wraps, reason = "each action ends with it")]
fn one(body: Bytes) -> Result<Response<Results>, Status> {
    let result = arrow_flight::Result { body };
    Ok(Response::new(stream::iter([Ok(result)]).boxed()))
}
