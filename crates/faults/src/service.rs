//! The layer and its service: carries out what was chosen.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, pending};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use tower::buffer::Buffer;
use tower::{BoxError, Layer, Service, ServiceExt};

use crate::body::{AnswerBody, End, Ending, cut, refusal, reset};
use crate::call::Call;
use crate::fault::{Fault, Meanwhile, Which};
use crate::handle::Faults;

type Answer = Result<Response<AnswerBody>, BoxError>;

/// How many calls may wait for the transport.
const BUFFER: usize = 1024;

/// Puts the faults under a client. Must be applied inside a tokio runtime.
#[derive(Debug, Clone)]
pub struct FaultLayer {
    faults: Faults,
}

impl FaultLayer {
    pub(crate) const fn new(faults: Faults) -> Self {
        Self { faults }
    }
}

impl<S, B> Layer<S> for FaultLayer
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send + Sync,
{
    type Service = FaultService<S::Future>;

    fn layer(&self, inner: S) -> Self::Service {
        // Doubled and late requests need a second hold on the transport, which is no Clone.
        FaultService { inner: Buffer::new(inner, BUFFER), faults: self.faults.clone() }
    }
}

/// A transport with faults.
pub struct FaultService<F> {
    inner: Buffer<Request<Body>, F>,
    faults: Faults,
}

impl<F: Send + 'static> Clone for FaultService<F> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), faults: self.faults.clone() }
    }
}

impl<F, B, E> Service<Request<Body>> for FaultService<F>
where
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Each call waits for the transport itself, since some never use it.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let stopped = service.faults.stopped().clone();
            tokio::select! {
                biased;
                () = stopped.cancelled() => pending().await,
                answer = service.enter(request) => answer,
            }
        })
    }
}

impl<F, B, E> FaultService<F>
where
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn enter(self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let call = Call::of(&parts.method, &parts.uri, &body);
        let (place, fault) = self.faults.enter(call);
        let faults = self.faults.clone();
        let message = Message { service: self, parts, body };
        let answer = match fault {
            None => message.send().await,
            Some(fault) => message.suffer(fault).await,
        }?;
        faults.answered(place, answer.status().as_u16());
        Ok(answer)
    }
}

/// A request that can be sent more than once.
struct Message<F> {
    service: FaultService<F>,
    parts: Parts,
    body: Bytes,
}

impl<F, B, E> Message<F>
where
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn send(&self) -> Answer {
        let request = Request::from_parts(self.parts.clone(), Body::from(self.body.clone()));
        let answer = self.service.inner.clone().oneshot(request).await?;
        Ok(answer.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    async fn suffer(self, fault: Fault) -> Answer {
        match fault {
            Fault::StopBefore => self.die().await,
            Fault::StopAfter => {
                self.send().await?;
                self.die().await
            }
            Fault::LoseRequest => Err(reset()),
            Fault::LoseAnswer => {
                self.send().await?;
                Err(reset())
            }
            Fault::CutAnswer => Ok(self.send().await?.map(cut)),
            Fault::Late(delay, meanwhile) => {
                self.send_after(tokio::time::sleep(delay), meanwhile).await
            }
            Fault::Held(meanwhile) => {
                let faults = self.service.faults.clone();
                let released = async move { faults.wait_for_release().await };
                self.send_after(released, meanwhile).await
            }
            Fault::Twice(which) => {
                let first = self.send().await;
                let second = self.send().await;
                if which == Which::First { first } else { second }
            }
            Fault::Slow(delay) => {
                tokio::time::sleep(delay).await;
                let answer = self.send().await;
                tokio::time::sleep(delay).await;
                answer
            }
            Fault::Refuse(kind) => Ok(refusal(kind)),
            Fault::RefuseAfter(kind) => self.send().await.map(|_| refusal(kind)),
            Fault::Hang => pending().await,
            Fault::HangAfter => {
                self.send().await?;
                pending().await
            }
            Fault::BreakStream(time) => {
                Ok(self.send().await?.map(|body| Ending::after(body, time, End::Breaks)))
            }
            Fault::MuteStream(time) => {
                Ok(self.send().await?.map(|body| Ending::after(body, time, End::Mute)))
            }
        }
    }

    /// Ends the process.
    async fn die(self) -> Answer {
        self.service.faults.stop();
        pending().await
    }

    /// Sends from a task of its own, which neither the caller's deadline nor its death ends: what
    /// is on the wire stays on the wire.
    async fn send_after(
        self,
        moment: impl Future<Output = ()> + Send + 'static,
        meanwhile: Meanwhile,
    ) -> Answer {
        tokio::spawn(async move {
            moment.await;
            self.send().await
        });
        match meanwhile {
            Meanwhile::Breaks => Err(reset()),
            Meanwhile::Silent => pending().await,
        }
    }
}
