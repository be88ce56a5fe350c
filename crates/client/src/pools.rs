//! Pools: consistent reads, the one write of their status, and the creation of their workers.
//!
//! What says that a worker may be started is a [`Seat`]: proof that the API server said, at some
//! time, that the worker's own pool names the worker's uid. However old, that is good enough. A
//! seat is given back only when its worker is over or gone, and then nothing can start it anyway.

mod budget;

pub use budget::Guarded;

use std::sync::Arc;
use std::time::Duration;

use duckworker_api::pool::{parse, wire};
use duckworker_api::{DuckWorker, DuckWorkerPool, Unreadable};
use duckworker_core::pool::{Ordinal, Pool, PoolStatus};
use duckworker_core::{Fingerprint, Image, Uid, Version, WorkerKey, WorkerState};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::Request;
use kube::{Api, Resource};

use crate::answer::{self, Answer};
use crate::error::Error;
use crate::instance::Instance;
use crate::status::{self, Snapshot, Written};
use crate::store::{WorkerStore, version_of};
use crate::token::WorkerSnapshot;

/// A pool as it was read. Comes only out of the API server's answers.
#[derive(Debug, Clone)]
pub struct PoolSnapshot {
    pool: Arc<Pool>,
    version: Version,
    object: Arc<DuckWorkerPool>,
}

impl PoolSnapshot {
    /// The pool as it was read.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The newer of two readings of the same pool.
    #[must_use]
    pub fn newer(self, other: Self) -> Self {
        let same = self.pool.key.uid == other.pool.key.uid;
        if same && other.version > self.version { other } else { self }
    }

    /// What its workers of another version are told by, if they are made of the present template.
    pub fn made_of(&self, image: &Image) -> Fingerprint {
        wire::made_of(&self.object, image)
    }

    /// The proof that this pool names this worker; none if it does not, or not yet.
    pub fn seat_of(&self, worker: &WorkerSnapshot) -> Option<Seat> {
        let worker = worker.worker();
        let own = worker.pool.as_ref().is_some_and(|pool| pool.uid == self.pool.key.uid);
        let named = own && self.pool.status.seats.name(&worker.key.uid);
        named.then(|| Seat { worker: worker.key.uid.clone() })
    }
}

/// Proof that a pool names a worker: only with it a pool's worker is ever started.
#[derive(Debug, Clone)]
pub struct Seat {
    worker: Uid,
}

impl Seat {
    /// Whose it is.
    pub const fn worker(&self) -> &Uid {
        &self.worker
    }
}

impl Snapshot for PoolSnapshot {
    type Kind = DuckWorkerPool;

    fn parse(object: Arc<DuckWorkerPool>) -> Result<Self, Unreadable> {
        let version =
            version_of(&object.metadata).ok_or(Unreadable::Missing("metadata.resourceVersion"))?;
        Ok(Self { pool: Arc::new(parse::pool(&object)?), version, object })
    }

    fn object(&self) -> &DuckWorkerPool {
        &self.object
    }

    fn version(&self) -> &Version {
        &self.version
    }
}

/// What became of the creation of a worker.
#[derive(Debug)]
pub enum Made {
    /// It is there.
    There(Box<DuckWorker>),
    /// The name is taken by an object that is not this pool's.
    Foreign,
}

/// Reads and writes pools, on behalf of one registered instance.
#[derive(Clone)]
pub struct PoolStore {
    store: WorkerStore,
    instance: Arc<Instance>,
}

impl PoolStore {
    /// For an instance.
    pub const fn new(store: WorkerStore, instance: Arc<Instance>) -> Self {
        Self { store, instance }
    }

    /// Writes a status over the version that was read.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn write(
        &self,
        seen: &PoolSnapshot,
        status: &PoolStatus,
    ) -> Result<Written<PoolSnapshot>, Error> {
        status::write(&self.store, &self.instance, seen, wire::status(status, &seen.object)).await
    }

    /// Creates the worker of a seat that this very reading shows taken, of this version if it is not
    /// the pool's. One that is there already
    /// is accepted if it is this pool's by its controller reference.
    ///
    /// # Errors
    /// When the server refuses or does not answer. It is safe to try again.
    pub async fn create_worker(
        &self,
        seen: &PoolSnapshot,
        ordinal: Ordinal,
        image: Option<&Image>,
    ) -> Result<Made, Error> {
        let (key, name) = (&seen.pool.key, seen.pool.key.worker_name(ordinal));
        let what = format!("creating DuckWorker {}/{name} of its pool", key.namespace);
        self.instance.in_office(|| what.clone())?;
        let refused = |source| Error::Refused { what: what.clone(), source };
        let body = serde_json::to_vec(&wire::worker(&seen.pool, &seen.object, ordinal, image))
            .map_err(|error| refused(kube::Error::SerdeError(error)))?;
        let request = Request::new(DuckWorker::url_path(&(), Some(&key.namespace)))
            .create(&PostParams::default(), body)
            .map_err(|error| refused(kube::Error::BuildRequest(error)))?;
        let sent = self.store.connection().send::<DuckWorker>(request);
        match answer::ask(self.deadline(), sent).await {
            Answer::Applied(worker) => Ok(Made::There(Box::new(worker))),
            Answer::Conflict(_) => self.accept(seen, &name, &what).await,
            other => Err(crate::children::failed(what, other)),
        }
    }

    async fn accept(&self, seen: &PoolSnapshot, name: &str, what: &str) -> Result<Made, Error> {
        let found = self.read_worker(&seen.pool.key.namespace, name).await?;
        let found = found.ok_or_else(|| Error::Unavailable {
            what: what.to_owned(),
            source: answer::Doubt::Moved,
        })?;
        let own = parse::pool_of(&found.metadata).is_some_and(|p| p.uid == seen.pool.key.uid);
        Ok(if own { Made::There(Box::new(found)) } else { Made::Foreign })
    }

    /// A worker, by a consistent read.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn read_worker(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DuckWorker>, Error> {
        let what = format!("reading DuckWorker {namespace}/{name}");
        let api: Api<DuckWorker> = Api::namespaced(self.client(), namespace);
        self.store.connection().read(self.deadline(), &what, || api.get_opt(name)).await
    }

    /// Deletes a worker that nobody took, if consistent reads show that it still is Pending, and
    /// that its pool does not wait to name it. False: it was left alone.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn delete_pending(
        &self,
        seen: &PoolSnapshot,
        worker: &WorkerKey,
    ) -> Result<bool, Error> {
        let what = format!("deleting DuckWorker {worker}, which nobody took");
        let found = self.store.read(&worker.namespace, &worker.name).await?;
        let Some(found) = found.filter(|found| found.worker.key.uid == worker.uid) else {
            return Ok(false);
        };
        if found.worker.status.state != WorkerState::Pending {
            return Ok(false);
        }
        let key = &seen.pool.key;
        let pool: Option<PoolSnapshot> =
            status::observe(&self.store, &key.namespace, &key.name).await?;
        if !pool.is_some_and(|pool| may_go(&pool.pool, &seen.pool, worker)) {
            return Ok(false);
        }
        // The version that was read: nobody took it since.
        let preconditions = Preconditions {
            uid: Some(worker.uid.to_string()),
            resource_version: Some(found.version.as_str().to_owned()),
        };
        let params = DeleteParams::default().preconditions(preconditions);
        let api: Api<DuckWorker> = Api::namespaced(self.client(), &worker.namespace);
        match answer::ask(self.deadline(), api.delete(&worker.name, &params)).await {
            Answer::Applied(_) => Ok(true),
            Answer::Conflict(_) => Ok(false),
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            other => Err(crate::children::failed(what, other)),
        }
    }

    fn client(&self) -> kube::Client {
        self.store.connection().client.clone()
    }

    fn deadline(&self) -> Duration {
        self.store.deadline()
    }
}

/// The pool still is the one that was seen, and the worker's number is not one whose worker is yet
/// to be written down.
fn may_go(now: &Pool, seen: &Pool, worker: &WorkerKey) -> bool {
    let seats = &now.status.seats;
    let waits = now
        .key
        .ordinal_of(&worker.name)
        .is_some_and(|own| own >= seats.next || seats.taken.get(&own) == Some(&None));
    now.key.uid == seen.key.uid && !waits
}
