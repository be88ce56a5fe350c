//! The kube client as the fences need it.

use std::time::Duration;

use http::{HeaderValue, Request, Response, header};
use kube::client::{Body, ClientBuilder, DynBody};
use kube::{Client, Config};
use tower::layer::util::Identity;
use tower::timeout::TimeoutLayer;
use tower::util::{BoxService, MapResponseLayer};
use tower::{BoxError, Layer, Service, ServiceBuilder};

use crate::clock::ServerClock;
use crate::dice::Dice;

/// How the API server's logs know our calls.
pub const PROGRAM: &str = concat!("duckworker/", env!("CARGO_PKG_VERSION"));

/// The service at the bottom of a real client's stack.
pub type Transport = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// How long any request may wait for the head of its answer. The library has no such limit, and a
/// list or the start of a watch that is never answered would blind its watcher for ever.
const SILENCE: Duration = Duration::from_secs(30);

/// A client without the library's own retries, and the server's clock that it learns.
///
/// The library re-sends any verb on 429, 503 and 504 by default, so a write whose answer was lost
/// would come back as a conflict with itself. Here every answer is seen by who asked.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// The API server's time.
    pub clock: ServerClock,
    /// Where chance comes from.
    pub dice: Dice,
}

impl Connection {
    /// Connects with this configuration; its `default_retry` is ignored.
    ///
    /// # Errors
    /// When the configuration's TLS or authentication cannot be set up.
    pub fn new(config: Config) -> Result<Self, kube::Error> {
        Self::with_layer(config, &Identity::new())
    }

    /// The same, with a layer of the caller's around the transport: metrics, or faults in tests.
    ///
    /// # Errors
    /// When the configuration's TLS or authentication cannot be set up.
    pub fn with_layer<L, B>(mut config: Config, layer: &L) -> Result<Self, kube::Error>
    where
        L: Layer<Transport>,
        L::Service: Service<Request<Body>, Response = Response<B>> + Send + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        config.default_retry = false;
        config.headers.push((header::USER_AGENT, HeaderValue::from_static(PROGRAM)));
        let clock = ServerClock::default();
        let client = ClientBuilder::try_from(config)?
            .with_layer(layer)
            .with_layer(&TimeoutLayer::new(SILENCE))
            .with_layer(&MapResponseLayer::new(clock.learner()))
            .build();
        Ok(Self { client, clock, dice: Dice::of_the_system() })
    }

    /// A client over any service that answers like an API server: the simulator.
    pub fn over<S, B>(service: S, default_namespace: &str) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let clock = ServerClock::default();
        let service =
            ServiceBuilder::new().layer(MapResponseLayer::new(clock.learner())).service(service);
        let client = Client::new(service, default_namespace);
        Self { client, clock, dice: Dice::of_the_system() }
    }

    /// The same with another source of chance: a seeded one repeats itself.
    #[must_use]
    pub fn with_dice(self, dice: Dice) -> Self {
        Self { dice, ..self }
    }
}
