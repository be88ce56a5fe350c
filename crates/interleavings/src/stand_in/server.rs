//! An API server in memory: a compare-and-swap for each worker.

use std::collections::{HashMap, VecDeque};

use duckworker_api::{DuckWorker, DuckWorkerStatus};
use futures::future::BoxFuture;
use kube::core::Status;
use serde::Deserialize;
use serde_json::json;
use shuttle::sync::{Mutex, PoisonError};

/// What happens to a write.
pub enum Fate {
    /// It arrives, and so does its answer.
    Arrives,
    /// It is refused for good.
    Refused,
    /// It is applied, and its answer is lost.
    AnswerLost,
    /// Its answer is lost, and it is applied at some later time, if it still fits.
    Late,
    /// It is applied and answered only after something else.
    Waits(BoxFuture<'static, ()>),
}

/// The server.
#[derive(Default)]
pub struct Server {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    workers: HashMap<String, DuckWorker>,
    fates: HashMap<String, VecDeque<Fate>>,
    version: u64,
}

#[derive(Deserialize)]
struct Body {
    version: String,
    status: DuckWorkerStatus,
}

impl Server {
    /// Puts a worker there that serves, owned by this owner at epoch 1.
    pub fn create(&self, name: &str, owner: &str) {
        let object = json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker",
            "metadata": { "name": name, "namespace": "n", "uid": name, "resourceVersion": "1" },
            "spec": { "template": { "spec": { "containers": [{ "name": "duckdb", "image": "i" }] } } },
            "status": {
                "state": "Hot", "stateSince": "1970-01-01T00:00:00Z", "owner": owner,
                "ownerEpoch": 1, "tenant": "t",
            },
        });
        if let Ok(worker) = serde_json::from_value(object) {
            self.lock(|state| state.workers.insert(name.to_owned(), worker));
        }
    }

    /// The next writes of a worker have these fates; all others arrive.
    pub fn prepare(&self, name: &str, fates: impl IntoIterator<Item = Fate>) {
        self.lock(|state| state.fates.entry(name.to_owned()).or_default().extend(fates));
    }

    /// The epoch that stands there.
    pub fn epoch(&self, name: &str) -> i64 {
        let epoch = |worker: &DuckWorker| worker.status.as_ref()?.owner_epoch;
        self.get(name).as_ref().and_then(epoch).unwrap_or_default()
    }

    /// How many writes its status had.
    pub fn version(&self, name: &str) -> u64 {
        let version = self.get(name).and_then(|worker| worker.metadata.resource_version);
        version.and_then(|version| version.parse().ok()).unwrap_or_default()
    }

    pub(super) fn get(&self, name: &str) -> Option<DuckWorker> {
        self.lock(|state| state.workers.get(name).cloned())
    }

    pub(super) fn fate(&self, name: &str) -> Fate {
        let next = |state: &mut State| state.fates.get_mut(name).and_then(VecDeque::pop_front);
        self.lock(next).unwrap_or(Fate::Arrives)
    }

    pub(super) fn put(&self, name: &str, body: &[u8]) -> kube::Result<DuckWorker> {
        let body: Body = serde_json::from_slice(body).map_err(kube::Error::SerdeError)?;
        self.lock(|state| {
            let worker = state.workers.get_mut(name).ok_or_else(|| refusal(404))?;
            if worker.metadata.resource_version.as_deref() != Some(&body.version) {
                return Err(refusal(409));
            }
            state.version = state.version.max(1) + 1;
            worker.metadata.resource_version = Some(state.version.to_string());
            worker.status = Some(body.status);
            Ok(worker.clone())
        })
    }

    fn lock<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A refusal with this code.
pub fn refusal(code: u16) -> kube::Error {
    kube::Error::Api(Status::failure("refused", "Test").with_code(code).boxed())
}
