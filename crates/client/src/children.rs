//! Pods and secrets of workers: created for a lease, deleted with a permit, always by uid.

mod create;
mod delete;
mod finalizer;
mod mark;

pub(crate) use create::failed;
pub use delete::{Grace, PodStanding};
pub use finalizer::Finalized;

use duckworker_api::{DuckWorker, WorkerPod};
use duckworker_core::WorkerKey;
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::Api;

use crate::answer::{self, Answer};
use crate::connection::Connection;
use crate::error::Error;
use crate::lifecycle::WorkerLifecycle;

/// Creates and deletes what workers have.
#[derive(Clone)]
pub struct Children {
    lifecycle: WorkerLifecycle,
}

impl Children {
    /// For the workers of this lifecycle.
    pub const fn new(lifecycle: WorkerLifecycle) -> Self {
        Self { lifecycle }
    }

    fn pods(&self, namespace: &str) -> Api<WorkerPod> {
        Api::namespaced(self.lifecycle.store().connection().client.clone(), namespace)
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.lifecycle.store().connection().client.clone(), namespace)
    }

    /// The pod of this name, by a consistent read: before anyone believes that it is gone.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn read_pod(&self, namespace: &str, name: &str) -> Result<Option<WorkerPod>, Error> {
        let what = format!("reading Pod {namespace}/{name}");
        let api = self.pods(namespace);
        self.connection().read(self.deadline(), &what, || api.get_opt(name)).await
    }

    /// The uid of the secret of this name, by a consistent read of its metadata.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn secret_uid(&self, namespace: &str, name: &str) -> Result<Option<String>, Error> {
        let what = format!("reading Secret {namespace}/{name}");
        let api = self.secrets(namespace);
        let found =
            self.connection().read(self.deadline(), &what, || api.get_metadata_opt(name)).await?;
        Ok(found.and_then(|secret| secret.metadata.uid))
    }

    /// The node of this name, by a consistent read: before anyone believes that it is gone.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn read_node(&self, name: &str) -> Result<Option<Node>, Error> {
        let client = self.lifecycle.store().connection().client.clone();
        let api: Api<Node> = Api::all(client);
        self.connection()
            .read(self.deadline(), &format!("reading Node {name}"), || api.get_opt(name))
            .await
    }

    /// Deletes a finished worker's object, and none of its namesakes.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn delete_worker(&self, key: &WorkerKey) -> Result<(), Error> {
        let what = format!("deleting DuckWorker {key}");
        let client = self.lifecycle.store().connection().client.clone();
        let api: Api<DuckWorker> = Api::namespaced(client, &key.namespace);
        let params = create::by_uid(Some(key.uid.to_string()));
        match answer::ask(self.deadline(), api.delete(&key.name, &params)).await {
            Answer::Applied(_) | Answer::Conflict(_) => Ok(()),
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => Err(create::failed(what, other)),
        }
    }

    const fn connection(&self) -> &Connection {
        self.lifecycle.store().connection()
    }

    fn deadline(&self) -> std::time::Duration {
        self.lifecycle.store().deadline()
    }
}
