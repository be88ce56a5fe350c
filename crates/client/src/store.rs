//! Consistent reads of workers, and the one write: a PUT of the status with the version read.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use duckworker_api::decode::Decode;
use duckworker_api::{DuckWorker, DuckWorkerStatus, parse};
use duckworker_core::{Version, Worker, WorkerKey};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::core::{ObjectMeta, Request};
use kube::{Api, Resource};
use serde::Serialize;

use crate::answer::{self, Answer, Doubt};
use crate::cache::Cached as _;
use crate::connection::Connection;
use crate::error::Error;
use crate::token::{DeletePermit, WorkerSnapshot};

/// How long one call may take.
pub const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// The version of an object, if it was stored.
pub fn version_of(meta: &ObjectMeta) -> Option<Version> {
    meta.resource_version.as_ref().map(Version::new)
}

/// A worker as it was read: parsed, and the wire form for what we do not know.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Parsed.
    pub worker: Worker,
    /// Its version.
    pub version: Version,
    /// As it stands in the API server, without what nobody reads.
    object: Arc<DuckWorker>,
}

impl Stored {
    /// Parses what a cache holds, and shares it.
    ///
    /// # Errors
    /// [`duckworker_api::Unreadable`] when it is a newer version's.
    pub fn parse(object: Arc<DuckWorker>) -> Result<Self, duckworker_api::Unreadable> {
        let version = version_of(&object.metadata)
            .ok_or(duckworker_api::Unreadable::Missing("metadata.resourceVersion"))?;
        Ok(Self { worker: parse::worker(&object)?, version, object })
    }

    /// Parses what the API server answered.
    ///
    /// # Errors
    /// [`duckworker_api::Unreadable`] when it is a newer version's.
    pub fn answered(mut object: DuckWorker) -> Result<Self, duckworker_api::Unreadable> {
        object.trim();
        Self::parse(Arc::new(object))
    }

    /// Its status as it stands in the API server.
    pub fn wire(&self) -> Option<&DuckWorkerStatus> {
        self.object.status.as_ref()
    }

    /// Its finalizers.
    pub fn finalizers(&self) -> &[String] {
        self.object.metadata.finalizers.as_deref().unwrap_or_default()
    }
}

/// Reads and writes workers.
#[derive(Clone)]
pub struct WorkerStore {
    connection: Connection,
    deadline: Duration,
}

impl WorkerStore {
    /// Over this connection.
    pub const fn new(connection: Connection) -> Self {
        Self { connection, deadline: CALL_DEADLINE }
    }

    /// The same with another deadline for each call: tests that lose answers on purpose.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The connection.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The deadline of each call.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// A consistent read. `None`: there is no worker of that name.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server does not answer, [`Error::Unreadable`] for a newer
    /// version's object.
    pub async fn observe(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<WorkerSnapshot>, Error> {
        Ok(self.read(namespace, name).await?.map(|stored| WorkerSnapshot::new(Arc::new(stored))))
    }

    /// The permit to delete what an absent worker left behind, if a consistent read shows that
    /// it is absent (or that another one bears its name).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server does not answer.
    pub async fn absent(&self, key: &WorkerKey) -> Result<Option<DeletePermit>, Error> {
        let found = self.get(&key.namespace, &key.name).await?;
        let lives = found.is_some_and(|o| o.metadata.uid.as_deref() == Some(key.uid.as_str()));
        Ok((!lives).then(|| DeletePermit::of_absent(key.clone())))
    }

    pub(crate) async fn read(&self, namespace: &str, name: &str) -> Result<Option<Stored>, Error> {
        let what = || format!("reading DuckWorker {namespace}/{name}");
        let object = self.get(namespace, name).await?;
        object
            .map(|object| {
                Stored::answered(object)
                    .map_err(|source| Error::Unreadable { what: what(), source })
            })
            .transpose()
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Option<DuckWorker>, Error> {
        let api: Api<DuckWorker> = Api::namespaced(self.connection.client.clone(), namespace);
        let what = format!("reading DuckWorker {namespace}/{name}");
        self.connection.read(self.deadline, &what, || api.get_opt(name)).await
    }

    /// Sends one status write, once.
    pub(crate) async fn put(&self, key: &WorkerKey, body: &[u8]) -> Answer<Arc<Stored>> {
        let url = DuckWorker::url_path(&(), Some(&key.namespace));
        let request = Request::new(url).replace_subresource(
            "status",
            &key.name,
            &PostParams::default(),
            body.to_vec(),
        );
        let request = match request {
            Ok(request) => request,
            Err(error) => return Answer::Refused(kube::Error::BuildRequest(error)),
        };
        match answer::ask(self.deadline, self.connection.send::<DuckWorker>(request)).await {
            Answer::Applied(object) => match Stored::answered(object) {
                Ok(stored) => Answer::Applied(Arc::new(stored)),
                // It landed, but we cannot tell what stands there now: a read decides.
                Err(error) => Answer::Unknown(Doubt::Answer(kube::Error::Service(error.into()))),
            },
            Answer::Conflict(status) => Answer::Conflict(status),
            Answer::Refused(error) => Answer::Refused(error),
            Answer::Throttled(pause) => Answer::Throttled(pause),
            Answer::Unknown(doubt) => Answer::Unknown(doubt),
        }
    }
}

/// The body of a status write: no more than the server needs. It checks the uid and the version,
/// and keeps spec and metadata as stored.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusBody<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: BodyMeta<'a>,
    status: &'a DuckWorkerStatus,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BodyMeta<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
    resource_version: &'a str,
}

impl<'a> StatusBody<'a> {
    pub(crate) fn new(stored: &'a Stored, status: &'a DuckWorkerStatus) -> Self {
        let key = &stored.worker.key;
        Self {
            api_version: "duckworker.dev/v1alpha1",
            kind: "DuckWorker",
            metadata: BodyMeta {
                name: &key.name,
                namespace: &key.namespace,
                uid: key.uid.as_str(),
                resource_version: stored.version.as_str(),
            },
            status,
        }
    }
}

impl Connection {
    /// Whether a namespace is being deleted, by a consistent read.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn is_namespace_ending(&self, namespace: &str) -> Result<bool, Error> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let what = format!("reading Namespace {namespace}");
        let found = self.read(CALL_DEADLINE, &what, || api.get_opt(namespace)).await?;
        Ok(found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
    }

    /// Sends a request that is answered with an object of ours.
    ///
    /// # Errors
    /// What the server refused with, or that its answer is no such object.
    pub(crate) async fn send<K: Decode>(&self, request: http::Request<Vec<u8>>) -> kube::Result<K> {
        let text = self.client.request_text(request).await?;
        K::decode(&text).map_err(kube::Error::SerdeError)
    }

    /// One read, tried again with back-off while the server is ill: reads change nothing.
    pub(crate) async fn read<T, F>(
        &self,
        deadline: Duration,
        what: &str,
        request: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let attempt = || async {
            match answer::ask(deadline, request()).await {
                Answer::Applied(value) => Ok(value),
                Answer::Refused(source) => Err(Error::Refused { what: what.to_owned(), source }),
                Answer::Conflict(status) => {
                    Err(Error::Refused { what: what.to_owned(), source: kube::Error::Api(status) })
                }
                Answer::Throttled(pause) => Err(Error::Throttled { what: what.to_owned(), pause }),
                Answer::Unknown(source) => {
                    Err(Error::Unavailable { what: what.to_owned(), source })
                }
            }
        };
        attempt
            .retry(self.backoff().with_max_times(4))
            .when(|error| matches!(error, Error::Throttled { .. } | Error::Unavailable { .. }))
            .adjust(|error, pause| match error {
                Error::Throttled { pause: asked, .. } => pause.map(|own| own.max(*asked)),
                _ => pause,
            })
            .await
    }

    /// How calls are spaced while the server is ill.
    pub(crate) fn backoff(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_jitter()
            .with_jitter_seed(self.dice.roll())
            .with_min_delay(Duration::from_millis(20))
            .with_max_delay(Duration::from_secs(2))
    }
}
