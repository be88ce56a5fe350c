//! The server as a tower service under kube's client.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, DATE, HeaderValue};
use http::{Request as HttpRequest, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde_json::Value;
use tower::{BoxError, Service};

use crate::core::Core;
use crate::failure::Failure;
use crate::request::Request;
use crate::stream::{self, StreamBody};
use crate::user::User;
use crate::verbs::{Reply, Server, review};

/// One user's way to the server.
#[derive(Debug, Clone)]
pub struct SimService {
    core: Arc<Core>,
    user: Arc<User>,
}

impl SimService {
    pub(crate) const fn new(core: Arc<Core>, user: Arc<User>) -> Self {
        Self { core, user }
    }

    async fn answer(self, request: HttpRequest<Body>) -> Result<Response<StreamBody>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        wait(self.core.request_delay()).await;
        self.reachable()?;
        let reply = self.core.step(|server| {
            let known = non_resource(parts.uri.path(), &body, &self.user);
            let reply = known.unwrap_or_else(|| {
                let request = Request::parse(&server.kinds, &parts, body, &self.user)?;
                server.answer(&request)
            });
            (reply, date(server))
        });
        wait(self.core.request_delay()).await;
        self.reachable()?;
        Ok(match reply {
            (Ok(Reply::Json(code, body)), date) => json(code, &body, date),
            (Err(failure), date) => json(failure.code, &failure.body(), date),
            (Ok(Reply::Watch(subscription)), date) => respond(
                StatusCode::OK,
                stream::follow(self.core, *subscription, self.user.pod()),
                date,
            ),
        })
    }

    fn reachable(&self) -> Result<(), BoxError> {
        if *self.core.down.borrow() { Err(unreachable()) } else { Ok(()) }
    }
}

impl Service<HttpRequest<Body>> for SimService {
    type Response = Response<StreamBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<StreamBody>, BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

/// Nobody answers.
pub fn unreachable() -> BoxError {
    std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "the API server is down").into()
}

async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

/// Answers what is no object.
fn non_resource(path: &str, body: &[u8], user: &User) -> Option<Result<Reply, Failure>> {
    if path == "/version" {
        let version = serde_json::json!({ "major": "1", "minor": "36", "gitVersion": "v1.36.3" });
        return Some(Ok(Reply::Json(200, version)));
    }
    Some(review(path, body, user)?.map(|review| Reply::Json(201, review)))
}

fn date(server: &Server) -> Option<HeaderValue> {
    HeaderValue::from_str(&server.clock.date_header()).ok()
}

fn json(code: u16, body: &Value, date: Option<HeaderValue>) -> Response<StreamBody> {
    let body = Full::new(Bytes::from(body.to_string())).map_err(Into::into).boxed_unsync();
    respond(StatusCode::from_u16(code).unwrap_or_default(), body, date)
}

fn respond(code: StatusCode, body: StreamBody, date: Option<HeaderValue>) -> Response<StreamBody> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(date.map(|date| (DATE, date)));
    response
}
