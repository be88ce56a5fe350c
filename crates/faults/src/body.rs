//! The answers: refusals as the API server words them, and streams that break or fall silent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::ready;
use futures::stream::{self, StreamExt};
use http::{Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::json;
use tokio::time::Sleep;
use tower::BoxError;

use crate::fault::Refusal;

/// The body of an answer.
pub type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;

/// The connection broke.
pub fn reset() -> BoxError {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset by a fault").into()
}

/// The answer that says no.
pub fn refusal(refusal: Refusal) -> Response<AnswerBody> {
    let code = refusal.code();
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("{} (by a fault)", refusal.reason()),
        "reason": refusal.reason(), "code": code,
    });
    if let Refusal::TooManyRequests { retry_after } = refusal {
        status["details"] = json!({ "retryAfterSeconds": retry_after });
    }
    let body = Full::new(Bytes::from(status.to_string())).map_err(Into::into).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if let Refusal::TooManyRequests { retry_after } = refusal {
        headers.insert(header::RETRY_AFTER, retry_after.into());
    }
    response
}

/// Delivers half of what arrives first and then breaks.
pub fn cut(mut body: AnswerBody) -> AnswerBody {
    let half = async move {
        let data = body.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
        let data = data.unwrap_or_default();
        Ok(Frame::data(data.slice(..data.len() / 2)))
    };
    let broken = stream::once(half).chain(stream::once(ready(Err(reset()))));
    StreamBody::new(broken).boxed_unsync()
}

/// What a stream does when its time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It breaks.
    Breaks,
    /// It stays open and says nothing more.
    Mute,
}

/// A stream with an end.
pub struct Ending {
    inner: AnswerBody,
    timer: Pin<Box<Sleep>>,
    end: End,
    over: bool,
}

impl Ending {
    /// Lets the stream run for a while.
    pub fn after(inner: AnswerBody, time: Duration, end: End) -> AnswerBody {
        let timer = Box::pin(tokio::time::sleep(time));
        Self { inner, timer, end, over: false }.boxed_unsync()
    }
}

impl Body for Ending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.over {
            if self.timer.as_mut().poll(cx).is_pending() {
                return Pin::new(&mut self.inner).poll_frame(cx);
            }
            self.over = true;
        }
        match self.end {
            End::Breaks => Poll::Ready(Some(Err(reset()))),
            End::Mute => Poll::Pending,
        }
    }
}
