//! SQL over Arrow Flight, with nothing but what is in a claim's or a worker's secret, as any user's
//! program.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::Action;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use duckworker_api::DuckWorker;
use duckworker_api::labels::{
    CERTIFICATE_KEY, ENDPOINT_KEY, SECRET_SUFFIX, SERVER_NAME_KEY, TOKEN_KEY,
};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::TestNamespace;
use crate::ready::until_it_answers;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Where a worker is, and all that lets somebody in. Never shown: it holds the token.
#[derive(Clone)]
pub struct Access {
    endpoint: String,
    server_name: String,
    certificate: Vec<u8>,
    token: String,
}

impl Access {
    /// Reads a claim's connection secret.
    ///
    /// # Errors
    /// Which key is missing, or no text.
    pub fn of(secret: &Secret) -> Result<Self> {
        let text = |key: &str| anyhow::Ok(String::from_utf8(member(secret, key)?.clone())?);
        Ok(Self {
            endpoint: text(ENDPOINT_KEY)?,
            server_name: text(SERVER_NAME_KEY)?,
            certificate: member(secret, CERTIFICATE_KEY)?.clone(),
            token: text(TOKEN_KEY)?,
        })
    }

    /// Reads the secret of a worker that serves: of one that no claim holds.
    ///
    /// # Errors
    /// When it has none, or does not serve yet.
    pub async fn to(ns: &TestNamespace<'_>, worker: &DuckWorker) -> Result<Self> {
        let name = format!("{}{SECRET_SUFFIX}", worker.name_any());
        let secret: Secret = ns.api().get(&name).await?;
        let status = worker.status.as_ref().context("the worker has no status")?;
        Ok(Self {
            endpoint: status.endpoint.clone().context("the worker has no endpoint")?,
            server_name: status.server_name.clone().context("the worker has no name for TLS")?,
            certificate: member(&secret, CERTIFICATE_KEY)?.clone(),
            token: String::from_utf8(member(&secret, TOKEN_KEY)?.clone())?,
        })
    }

    /// The same with another token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    /// The same with another certificate to trust, in PEM.
    #[must_use]
    pub fn with_certificate(mut self, certificate: &str) -> Self {
        certificate.as_bytes().clone_into(&mut self.certificate);
        self
    }

    /// Where the worker is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The only name in the worker's certificate.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// Connects to the worker; nobody else has the certificate's key.
    ///
    /// # Errors
    /// When nobody answers there, or somebody else does.
    pub async fn connect(&self) -> Result<Sql> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.certificate))
            .domain_name(&self.server_name);
        let channel = Endpoint::from_shared(format!("https://{}", self.endpoint))?
            .connect_timeout(CONNECT)
            .tls_config(tls)?
            .connect()
            .await
            .with_context(|| format!("cannot connect to {}", self.endpoint))?;
        let mut client = FlightSqlServiceClient::new(channel);
        client.set_token(self.token.clone());
        Ok(Sql { client })
    }
}

fn member<'a>(secret: &'a Secret, key: &str) -> Result<&'a Vec<u8>> {
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    value.map(|value| &value.0).with_context(|| format!("the secret has no {key}"))
}

/// A connection to a worker.
#[derive(Clone)]
pub struct Sql {
    client: FlightSqlServiceClient<Channel>,
}

impl Sql {
    /// The rows of a query.
    ///
    /// # Errors
    /// The worker's own words.
    pub async fn rows(&mut self, query: &str) -> Result<Vec<RecordBatch>, FlightError> {
        self.stream(query).await?.try_collect().await
    }

    /// Begins a query that has far more rows than may be on their way, and takes the first of them.
    /// The worker's engine rests half-way until somebody takes the others.
    ///
    /// # Errors
    /// The worker's own words; and that there are no rows.
    pub async fn begin(&mut self, query: &str) -> Result<LongQuery> {
        let mut stream = self.stream(query).await?;
        let first = stream.try_next().await?.context("the query has no rows")?;
        Ok(LongQuery { taken: first.num_rows(), stream })
    }

    /// Begins a session, to which all later statements of this connection belong.
    ///
    /// # Errors
    /// The worker's own words.
    pub async fn begin_session(&mut self) -> Result<SessionToken> {
        let answer = self.action("CreateSession", &json!({ "username": "ann" })).await?;
        let token = answer["session_token"].as_str().context("no token of a session")?;
        self.client.set_header("x-duckworker-session", token);
        Ok(SessionToken(token.to_owned()))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The worker's own words.
    pub async fn end_session(&mut self, session: SessionToken) -> Result<()> {
        self.action("DestroySession", &json!({ "session_token": session.0 })).await?;
        Ok(())
    }

    /// What the worker answers to an action.
    ///
    /// # Errors
    /// The worker's own words.
    pub async fn action(&mut self, name: &str, body: &Value) -> Result<Value, FlightError> {
        let answers = self.client.do_action(Action::new(name, body.to_string())).await?;
        let answers: Vec<_> = answers.try_collect().await?;
        let answer = answers.first().map(|answer| answer.body.as_ref()).unwrap_or_default();
        serde_json::from_slice(answer)
            .map_err(|error| FlightError::from_external_error(error.into()))
    }

    /// How the worker is, as it says itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn health(&mut self) -> Result<Value> {
        Ok(self.action("HealthCheck", &json!({})).await?)
    }

    /// Waits until the worker says this of itself.
    ///
    /// # Errors
    /// What it says instead after a minute.
    pub async fn await_health(&self, what: &str, says: impl Fn(&Value) -> bool) -> Result<()> {
        until_it_answers(&format!("a worker that {what}"), async || {
            let health = self.clone().health().await?;
            ensure!(says(&health), "{health}");
            Ok(())
        })
        .await
    }

    /// How many queries run on the worker, as it says itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn running_queries(&mut self) -> Result<u64> {
        let health = self.health().await?;
        health["active_queries"].as_u64().context("the worker does not count its queries")
    }

    async fn stream(&mut self, query: &str) -> Result<FlightRecordBatchStream, FlightError> {
        let info = self.client.execute(query.to_owned(), None).await?;
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        let ticket = ticket
            .ok_or_else(|| FlightError::protocol("the worker hands out no ticket".to_owned()))?;
        self.client.do_get(ticket).await
    }
}

/// Names a session. Never shown: whoever has it is in.
pub struct SessionToken(String);

/// A query whose rows are half-way taken.
pub struct LongQuery {
    stream: FlightRecordBatchStream,
    taken: usize,
}

impl LongQuery {
    /// How many rows were taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes the others, and tells how many rows there were in all.
    ///
    /// # Errors
    /// When the query broke meanwhile.
    pub async fn finish(mut self) -> Result<usize> {
        while let Some(rows) = self.stream.try_next().await.context("the query broke")? {
            self.taken += rows.num_rows();
        }
        Ok(self.taken)
    }
}

/// A query of so many rows, of some five hundred bytes each.
pub fn long_query(rows: usize) -> String {
    format!("SELECT i, repeat('duck', 125) AS words FROM range({rows}) AS numbers(i)")
}

/// A query that never ends by itself.
pub const ENDLESS: &str = "SELECT count(*) FROM range(10000000) a, range(10000000) b";

/// Rows as a table.
///
/// # Errors
/// When one has a type that cannot be shown.
pub fn table(rows: &[RecordBatch]) -> Result<String> {
    Ok(pretty_format_batches(rows)?.to_string())
}

/// The code of an answer that is a refusal.
///
/// # Errors
/// When it is an answer.
pub fn refusal<T>(answer: Result<T, FlightError>) -> Result<Code> {
    match answer {
        Err(FlightError::Tonic(status)) => Ok(status.code()),
        Err(other) => Err(other.into()),
        Ok(_) => bail!("it is no refusal"),
    }
}

/// Checks that an answer is the refusal of an unknown caller.
///
/// # Errors
/// What it is instead.
pub fn is_refused(answer: Result<Vec<RecordBatch>, FlightError>) -> Result<()> {
    let code = refusal(answer)?;
    ensure!(code == Code::Unauthenticated, "refused as {code:?}");
    Ok(())
}
