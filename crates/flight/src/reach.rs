//! The way to one worker: where it listens, the certificate that it must show, the token that it
//! wants to hear, and one connection that all calls share.

use std::fmt;
use std::time::Duration;

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use zeroize::Zeroizing;

use crate::bodies;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// A worker whose host is gone is noticed on a connection that rests.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Why an action did not succeed. Shows nothing of what was sent: a worker's own words may quote it,
/// so of them only the number of the statement that failed is kept.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no way to the worker yet, or its secret cannot be used.
    #[error("there is no way to it: {0}")]
    NoWay(String),
    /// It refused, or could not be spoken to.
    #[error("{code:?}{}", statement.map_or_else(String::new, |n| format!(" in statement {n}")))]
    Refused {
        /// The gRPC status.
        code: tonic::Code,
        /// Which statement of the activation failed, if it says so.
        statement: Option<u32>,
    },
    /// It answered with nothing.
    #[error("it ended the answer before it began")]
    Silent,
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Self::Refused { code: status.code(), statement: bodies::failed_statement(status.message()) }
    }
}

/// What of a worker's secret its clients need.
pub struct Pass {
    /// The certificate, in PEM, which is pinned.
    pub certificate: Vec<u8>,
    /// The bearer token.
    pub token: Zeroizing<String>,
}

/// The way to one worker. Cheap to clone.
#[derive(Clone)]
pub struct Way {
    client: FlightServiceClient<Channel>,
    authorization: MetadataValue<Ascii>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").finish_non_exhaustive()
    }
}

impl Way {
    /// To this address, `IP:port`. Nothing is connected before the first call.
    ///
    /// # Errors
    /// When address, name, certificate or token cannot be used.
    pub fn open(address: &str, server_name: &str, pass: &Pass) -> Result<Self, Failure> {
        let no_way = |error: &dyn fmt::Display| Failure::NoWay(error.to_string());
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&pass.certificate))
            .domain_name(server_name);
        let channel = Endpoint::from_shared(format!("https://{address}"))
            .map_err(|error| no_way(&error))?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .tls_config(tls)
            .map_err(|error| no_way(&error))?
            .connect_lazy();
        let bearer = Zeroizing::new(format!("Bearer {}", pass.token.as_str()));
        let mut authorization = MetadataValue::try_from(bearer.as_str())
            .map_err(|_| Failure::NoWay("its token is no text for a header".to_owned()))?;
        authorization.set_sensitive(true);
        Ok(Self { client: FlightServiceClient::new(channel), authorization })
    }

    /// Does one action and gives back the first part of its answer: ours have one. Patience is the
    /// caller's; dropping this cancels the call.
    ///
    /// # Errors
    /// With the kind of the failure, at the worker or on the way to it.
    pub async fn act(&self, name: &str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let action = Action { r#type: name.to_owned(), body: body.into() };
        let mut request = tonic::Request::new(action);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        let mut answer = self.client.clone().do_action(request).await?.into_inner();
        let first = answer.message().await?.ok_or(Failure::Silent)?;
        Ok(first.body.to_vec())
    }
}
