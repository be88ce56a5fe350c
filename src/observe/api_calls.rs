//! Calls to the API server, counted where they leave: `duckworker_api_calls_total`.

use std::fmt::{self, Write as _};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Method, Request, Response, Uri};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use strum::IntoStaticStr;
use tower::{Layer, Service};

/// What a request asks of which resource, in the words of RBAC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiCall {
    /// The verb.
    pub verb: Verb,
    /// The resource in the plural, with its subresource: `duckworkers/status`. `discovery` for
    /// lists of resources, `server` for paths outside the API.
    pub resource: String,
}

/// The verbs of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
#[allow(missing_docs, reason = "they are Kubernetes' own")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// A method that the API does not use.
    Other,
}

impl ApiCall {
    /// Reads a request.
    pub fn of(method: &Method, uri: &Uri) -> Self {
        match Target::of(uri.path()) {
            Target::Server => {
                Self { verb: Verb::of(method, Scope::One), resource: "server".to_owned() }
            }
            Target::Discovery => {
                Self { verb: Verb::of(method, Scope::One), resource: "discovery".to_owned() }
            }
            Target::Resource { resource, subresource, scope } => {
                let is_watch = scope == Scope::Many && asks_to_watch(uri.query());
                let verb = if is_watch { Verb::Watch } else { Verb::of(method, scope) };
                let subresource = subresource.map(|s| format!("/{s}")).unwrap_or_default();
                Self { verb, resource: format!("{resource}{subresource}") }
            }
        }
    }
}

/// One object, or all of a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    One,
    Many,
}

impl Verb {
    fn of(method: &Method, scope: Scope) -> Self {
        match (method.as_str(), scope) {
            ("GET" | "HEAD", Scope::One) => Self::Get,
            ("GET" | "HEAD", Scope::Many) => Self::List,
            ("POST", _) => Self::Create,
            ("PUT", _) => Self::Update,
            ("PATCH", _) => Self::Patch,
            ("DELETE", Scope::One) => Self::Delete,
            ("DELETE", Scope::Many) => Self::DeleteCollection,
            _ => Self::Other,
        }
    }
}

enum Target<'a> {
    Server,
    Discovery,
    Resource { resource: &'a str, subresource: Option<&'a str>, scope: Scope },
}

impl<'a> Target<'a> {
    /// `[base]/api/v1/…` or `[base]/apis/<group>/<version>/…`; the base is a proxy's.
    fn of(path: &'a str) -> Self {
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let Some(root) = segments.iter().position(|&s| s == "api" || s == "apis") else {
            return Self::Server;
        };
        let version = if segments[root] == "api" { root + 2 } else { root + 3 };
        let path = match segments.get(version..).unwrap_or_default() {
            // The two subresources of a namespace, which look like resources in it.
            ["namespaces", _, sub @ ("status" | "finalize")] => {
                return Self::resource("namespaces", Some(sub), Scope::One);
            }
            ["namespaces", _, in_namespace @ ..] if !in_namespace.is_empty() => in_namespace,
            path => path,
        };
        match path {
            [] => Self::Discovery,
            [resource] => Self::resource(resource, None, Scope::Many),
            [resource, _] => Self::resource(resource, None, Scope::One),
            [resource, _, sub, ..] => Self::resource(resource, Some(sub), Scope::One),
        }
    }

    const fn resource(resource: &'a str, subresource: Option<&'a str>, scope: Scope) -> Self {
        Self::Resource { resource, subresource, scope }
    }
}

fn asks_to_watch(query: Option<&str>) -> bool {
    query.is_some_and(|q| q.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")))
}

// === the metric ===

/// `duckworker_api_calls_total{verb,resource,code}`.
#[derive(Clone, Debug, Default)]
pub struct ApiCallMetrics {
    calls: Family<CallLabels, Counter>,
}

impl ApiCallMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Calls to the API server, by the code of the answer";
        registry.register("api_calls", help, metrics.calls.clone());
        metrics
    }

    /// The layer to put on the client's stack: outermost, so that what a deadline cuts off is seen.
    pub fn layer(&self) -> CountCalls {
        CountCalls { metrics: self.clone() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    verb: Verb,
    resource: String,
    code: Code,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Code {
    /// With an answer.
    Http(u16),
    /// The connection failed.
    Failed,
    /// Nobody waited for the answer: a deadline, a shutdown.
    Abandoned,
}

impl EncodeLabelValue for Verb {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.into())
    }
}

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        match self {
            Self::Http(code) => write!(encoder, "{code}"),
            Self::Failed => encoder.write_str("failed"),
            Self::Abandoned => encoder.write_str("abandoned"),
        }
    }
}

/// Counts its call when dropped, so that one that nobody waits for counts too.
struct Count {
    metrics: ApiCallMetrics,
    labels: CallLabels,
}

impl Count {
    /// A method, so that a future which calls it holds the count whole until it is dropped.
    const fn ended(&mut self, code: Code) {
        self.labels.code = code;
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.metrics.calls.get_or_create(&self.labels).inc();
    }
}

// === the layer ===

/// A layer that counts what passes through it.
#[derive(Clone, Debug)]
pub struct CountCalls {
    metrics: ApiCallMetrics,
}

impl<S> Layer<S> for CountCalls {
    type Service = CountedCalls<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountedCalls { inner, metrics: self.metrics.clone() }
    }
}

/// The service of [`CountCalls`].
#[derive(Clone, Debug)]
pub struct CountedCalls<S> {
    inner: S,
    metrics: ApiCallMetrics,
}

impl<S, B, R> Service<Request<B>> for CountedCalls<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let ApiCall { verb, resource } = ApiCall::of(request.method(), request.uri());
        let labels = CallLabels { verb, resource, code: Code::Abandoned };
        let mut count = Count { metrics: self.metrics.clone(), labels };
        let call = self.inner.call(request);
        Box::pin(async move {
            let answer = call.await;
            count.ended(match &answer {
                Ok(response) => Code::Http(response.status().as_u16()),
                Err(_) => Code::Failed,
            });
            answer
        })
    }
}

#[cfg(test)]
#[path = "api_calls_tests.rs"]
mod tests;
