//! Reads and writes of workers, over the server in memory.

use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBuilder;
use duckworker_api::{DuckWorker, DuckWorkerStatus, Unreadable, parse};
use duckworker_core::{Version, Worker, WorkerKey};
use jiff::Timestamp;
use serde::Serialize;

use super::server::{Fate, Server};
use crate::answer::{Answer, Doubt};
use crate::dice::Dice;
use crate::error::Error;
use crate::token::WorkerSnapshot;

/// How long one call may take: of no meaning here, where time stands still.
pub const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// A worker as it was read.
#[derive(Debug)]
pub struct Stored {
    pub worker: Worker,
    pub version: Version,
    finalizers: Vec<String>,
    wire: Option<DuckWorkerStatus>,
}

impl Stored {
    pub fn answered(object: DuckWorker) -> Result<Self, Unreadable> {
        let version = object.metadata.resource_version.as_ref().map(Version::new);
        Ok(Self {
            worker: parse::worker(&object)?,
            version: version.ok_or(Unreadable::Missing("metadata.resourceVersion"))?,
            finalizers: Vec::new(),
            wire: object.status,
        })
    }

    pub const fn wire(&self) -> Option<&DuckWorkerStatus> {
        self.wire.as_ref()
    }

    pub fn finalizers(&self) -> &[String] {
        &self.finalizers
    }
}

/// The body of a status write.
#[derive(Serialize)]
pub struct StatusBody<'a> {
    version: &'a str,
    status: &'a DuckWorkerStatus,
}

impl<'a> StatusBody<'a> {
    pub fn new(stored: &'a Stored, status: &'a DuckWorkerStatus) -> Self {
        Self { version: stored.version.as_str(), status }
    }
}

/// Reads and writes workers.
#[derive(Clone)]
pub struct WorkerStore {
    server: Arc<Server>,
    connection: Connection,
}

/// Where chance and the time come from.
#[derive(Clone, Default)]
pub struct Connection {
    pub dice: Dice,
    pub clock: Clock,
}

/// A clock that stands still.
#[derive(Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    #[allow(clippy::unused_self, reason = "as at home")]
    pub const fn now(self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

impl Connection {
    #[allow(clippy::unused_self, reason = "as at home")]
    pub fn backoff(&self) -> ExponentialBuilder {
        ExponentialBuilder::default().with_min_delay(Duration::from_nanos(1))
    }
}

impl WorkerStore {
    pub fn new(server: Arc<Server>) -> Self {
        Self { server, connection: Connection::default() }
    }

    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    #[allow(clippy::unused_self, reason = "as at home")]
    pub const fn deadline(&self) -> Duration {
        CALL_DEADLINE
    }

    pub async fn observe(&self, _: &str, name: &str) -> Result<Option<WorkerSnapshot>, Error> {
        Ok(self.read("", name).await?.map(|stored| WorkerSnapshot::new(Arc::new(stored))))
    }

    pub async fn read(&self, _: &str, name: &str) -> Result<Option<Stored>, Error> {
        shuttle::future::yield_now().await;
        let object = self.server.get(name);
        shuttle::future::yield_now().await;
        let what = || format!("reading {name}");
        let parsed = object.map(Stored::answered).transpose();
        parsed.map_err(|source| Error::Unreadable { what: what(), source })
    }

    /// Sends one status write, once, and has the fate that the server has ready for it.
    pub async fn put(&self, key: &WorkerKey, body: &[u8]) -> Answer<Arc<Stored>> {
        // On its way.
        shuttle::future::yield_now().await;
        let (name, body) = (key.name.clone(), body.to_vec());
        let answer = match self.server.fate(&name) {
            Fate::Arrives => self.server.put(&name, &body),
            Fate::Refused => return Answer::Refused(super::server::refusal(403)),
            Fate::AnswerLost => {
                let _ = self.server.put(&name, &body);
                return Answer::Unknown(Doubt::Moved);
            }
            Fate::Late => {
                let server = Arc::clone(&self.server);
                shuttle::future::spawn(async move {
                    shuttle::future::yield_now().await;
                    let _ = server.put(&name, &body);
                });
                return Answer::Unknown(Doubt::Moved);
            }
            Fate::Waits(until) => {
                until.await;
                self.server.put(&name, &body)
            }
        };
        // And back.
        shuttle::future::yield_now().await;
        match answer {
            Ok(object) => match Stored::answered(object) {
                Ok(stored) => Answer::Applied(Arc::new(stored)),
                Err(_) => Answer::Unknown(Doubt::Moved),
            },
            Err(kube::Error::Api(status)) if status.code == 409 => Answer::Conflict(status),
            Err(error) => Answer::Refused(error),
        }
    }
}
