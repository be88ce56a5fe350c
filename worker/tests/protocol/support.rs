//! A worker process of the test's own, and clients of it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{Action, FlightInfo};
use futures::TryStreamExt as _;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

/// The token of every worker here.
pub const TOKEN: &str = "token-that-no-log-may-show";
/// The name in its certificate.
pub const SERVER_NAME: &str = "w1.data.duckworker";
/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A worker process. It dies with this value.
pub struct Worker {
    process: Child,
    port: u16,
    certificate: String,
    log: Arc<Mutex<String>>,
    _folder: TempDir,
}

/// How a worker is started.
#[derive(Default)]
pub struct Start<'a> {
    /// Flags beside those for port and certificate.
    pub flags: &'a [&'a str],
    /// Whether it waits for an activation.
    pub is_fenced: bool,
    /// When its certificate ends, if it has ended.
    pub is_expired: bool,
    /// A shell command that its command line is put behind, such as `ulimit -f 1;`.
    pub shell: Option<&'a str>,
}

impl Worker {
    /// One that serves without an activation.
    pub async fn start(flags: &[&str]) -> Self {
        Self::start_as(Start { flags, ..Start::default() }).await
    }

    /// One that waits for an activation.
    pub async fn fenced(flags: &[&str]) -> Self {
        Self::start_as(Start { flags, is_fenced: true, ..Start::default() }).await
    }

    pub async fn start_as(start: Start<'_>) -> Self {
        let folder = TempDir::new().unwrap();
        let (certificate, key) = certificate(SERVER_NAME, start.is_expired);
        std::fs::write(folder.path().join("tls.crt"), &certificate).unwrap();
        std::fs::write(folder.path().join("tls.key"), key).unwrap();
        let program = env!("CARGO_BIN_EXE_duckdb-worker");
        let mut command = match start.shell {
            Some(shell) => {
                let mut command = Command::new("bash");
                command.args(["-c", &format!("{shell} exec \"$0\" \"$@\""), program]);
                command
            }
            None => Command::new(program),
        };
        command
            .args(["--address", "127.0.0.1", "--port", "0", "--log-filter", "debug,h2=info"])
            .args(start.flags)
            .arg("--tls-dir")
            .arg(folder.path())
            .arg("--spill-dir")
            .arg(folder.path().join("spill"))
            .env("DUCKWORKER_TOKEN", TOKEN)
            .env("DUCKWORKER_REQUIRE_ACTIVATION", start.is_fenced.to_string())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let log = follow(process.stderr.take().unwrap());
        let port = port(&mut process, &log).await;
        Self { process, port, certificate, log, _folder: folder }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A connection of its own, with the token.
    pub async fn client(&self) -> Client {
        let mut sql = FlightSqlServiceClient::new(self.channel(&self.certificate).await.unwrap());
        sql.set_token(TOKEN.to_owned());
        Client { sql }
    }

    /// The same, and it takes messages of any size: a row is never split.
    pub async fn client_of_large_messages(&self) -> Client {
        let channel = self.channel(&self.certificate).await.unwrap();
        let service = FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        let mut sql = FlightSqlServiceClient::new_from_inner(service);
        sql.set_token(TOKEN.to_owned());
        Client { sql }
    }

    /// A connection that trusts this certificate.
    pub async fn channel(&self, trusted: &str) -> Result<Channel, tonic::transport::Error> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(trusted))
            .domain_name(SERVER_NAME);
        Channel::from_shared(format!("https://127.0.0.1:{}", self.port))
            .unwrap()
            .tls_config(tls)
            .unwrap()
            .connect()
            .await
    }

    /// Its answer to `HealthCheck`, which has to come at once.
    pub async fn health(&self) -> Value {
        let started = Instant::now();
        let answer = self.client().await.action("HealthCheck", &json!({})).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        answer
    }

    /// Whether it still serves somebody new.
    pub async fn assert_healthy(&self) {
        let health = self.health().await;
        assert_eq!(health["healthy"], true, "{health}");
        let sum = self.client().await.rows("SELECT 40 + 2 AS answer").await.unwrap();
        assert!(shown(&sum).contains("42"));
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end; whether that was a success.
    pub async fn ended(&mut self, within: Duration) -> bool {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.success();
            }
            assert!(started.elapsed() < within, "it still runs:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    /// A line of `/proc/<pid>/status`, in bytes.
    pub fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let value = status.lines().find_map(|l| l.strip_prefix(line)).unwrap();
        value.trim_matches([':', '\t', ' ', 'k', 'B']).parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            println!("--- the worker's log:\n{}", self.log());
        }
    }
}

/// A client of a worker, with a connection of its own.
#[derive(Clone)]
pub struct Client {
    pub sql: FlightSqlServiceClient<Channel>,
}

impl Client {
    /// The rows of a query.
    pub async fn rows(&mut self, query: &str) -> Result<Vec<RecordBatch>, FlightError> {
        let info = self.sql.execute(query.to_owned(), None).await?;
        self.fetch(info).await
    }

    /// The rows that an info tells of.
    pub async fn fetch(&mut self, info: FlightInfo) -> Result<Vec<RecordBatch>, FlightError> {
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        self.sql.do_get(ticket).await?.try_collect().await
    }

    /// Runs a change; how many rows it changed.
    pub async fn change(&mut self, statement: &str) -> Result<i64, FlightError> {
        self.sql.execute_update(statement.to_owned(), None).await
    }

    /// Carries out an action with a JSON body.
    pub async fn action(&mut self, name: &str, body: &Value) -> Result<Value, FlightError> {
        self.action_of(name, body.to_string().into_bytes()).await
    }

    /// Carries out an action with any body.
    pub async fn action_of(&mut self, name: &str, body: Vec<u8>) -> Result<Value, FlightError> {
        let answer = self.sql.do_action(Action::new(name, body)).await?;
        let results: Vec<_> = answer.try_collect().await.map_err(FlightError::from)?;
        Ok(serde_json::from_slice(&results[0].body).unwrap())
    }

    /// Begins a session, for all later calls of this client.
    pub async fn begin_session(&mut self) -> Result<String, FlightError> {
        let answer = self.action("CreateSession", &json!({ "username": "ann" })).await?;
        let token = answer["session_token"].as_str().unwrap().to_owned();
        self.sql.set_header("x-duckworker-session", token.clone());
        Ok(token)
    }
}

/// The status of a call that was refused.
pub fn refused<T: std::fmt::Debug>(result: Result<T, FlightError>) -> (Code, String) {
    match result.unwrap_err() {
        FlightError::Tonic(status) => (status.code(), status.message().to_owned()),
        other => panic!("no status: {other:?}"),
    }
}

/// Rows as a table.
pub fn shown(rows: &[RecordBatch]) -> String {
    pretty_format_batches(rows).unwrap().to_string()
}

/// All rows in one batch.
pub fn together(rows: &[RecordBatch]) -> RecordBatch {
    concat_batches(&rows[0].schema(), rows).unwrap()
}

/// How many rows.
pub fn count(rows: &[RecordBatch]) -> usize {
    rows.iter().map(RecordBatch::num_rows).sum()
}

/// Waits until this holds.
pub async fn await_that(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A self-signed certificate and its key.
pub fn certificate(name: &str, is_expired: bool) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
    if is_expired {
        parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn follow(stderr: std::process::ChildStderr) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let followed = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut log = followed.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    log
}

/// The worker chooses a free port and logs which.
async fn port(process: &mut Child, log: &Mutex<String>) -> u16 {
    let started = Instant::now();
    loop {
        let text = log.lock().unwrap().clone();
        if let Some((_, rest)) = text.split_once("address=127.0.0.1:") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return digits.parse().unwrap();
        }
        assert!(process.try_wait().unwrap().is_none(), "it did not start:\n{text}");
        assert!(started.elapsed() < PATIENCE, "it does not serve:\n{text}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
