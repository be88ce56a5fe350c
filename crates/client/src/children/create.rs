//! Creations. They cannot be fenced, so what exists already is accepted only when it is this
//! worker's by an immutable mark.

use duckworker_api::owned;
use duckworker_core::Uid;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Resource;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::Request;
use serde::Serialize;

use super::Children;
use crate::answer::{self, Answer, Doubt};
use crate::error::Error;
use crate::store;
use crate::token::WorkerLease;

impl Children {
    /// Creates the secret of a worker that has no pod yet. One that exists is kept when this
    /// process made it, replaced when a predecessor (or a stranger who knew our marks) made it,
    /// since its token may be known to others.
    ///
    /// # Errors
    /// [`Error::Foreign`] when the name is taken by an object that is not this worker's.
    pub async fn create_secret(&self, lease: &WorkerLease, secret: &Secret) -> Result<(), Error> {
        let key = lease.key();
        let mut slot = self.lifecycle.slot(&key.uid).await;
        if slot.secret.is_some() {
            return Ok(());
        }
        let api = self.secrets(&key.namespace);
        let name = secret.metadata.name.clone().unwrap_or_default();
        let what = format!("creating Secret {}/{name}", key.namespace);
        let params = PostParams::default();
        let answer = answer::ask(self.deadline(), api.create(&params, secret)).await;
        let made = match answer {
            Answer::Applied(made) => made,
            Answer::Conflict(_) => {
                let found = store::read(self.deadline(), &what, || api.get_opt(&name)).await?;
                match found {
                    None => return Err(moved(what)),
                    Some(found) if found.data == secret.data => found,
                    Some(found) => return self.replace(key.uid.as_str(), found, what).await,
                }
            }
            other => return Err(failed(what, other)),
        };
        slot.secret = made.metadata.uid.and_then(|uid| Uid::new(uid).ok());
        Ok(())
    }

    /// Whether this process made the worker's secret.
    pub async fn made_secret(&self, uid: &Uid) -> bool {
        self.lifecycle.slot(uid).await.secret.is_some()
    }

    /// Deletes an untrusted secret; the next step makes a new one.
    async fn replace(&self, uid: &str, found: Secret, what: String) -> Result<(), Error> {
        let name = found.metadata.name.clone().unwrap_or_default();
        if owned::secret_worker_uid(&found) != Some(uid) {
            return Err(Error::Foreign { what, kind: "Secret", name });
        }
        let api = self.secrets(&found.metadata.namespace.clone().unwrap_or_default());
        let params = by_uid(found.metadata.uid);
        match answer::ask(self.deadline(), api.delete(&name, &params)).await {
            Answer::Applied(_) | Answer::Conflict(_) => Err(moved(what)),
            other => Err(failed(what, other)),
        }
    }

    /// Creates the pod of a worker. The pod is given as JSON, so that fields of the template which
    /// are newer than our types reach the server.
    ///
    /// # Errors
    /// [`Error::Foreign`] when the name is taken by a pod that is not this worker's;
    /// [`Error::Refused`] with the server's sentence when admission refuses the pod.
    pub async fn create_pod(&self, lease: &WorkerLease, pod: &impl Serialize) -> Result<Pod, Error> {
        let key = lease.key();
        let what = format!("creating Pod {}/{}", key.namespace, key.name);
        let body = serde_json::to_vec(pod).map_err(|error| Error::Refused {
            what: what.clone(),
            source: kube::Error::SerdeError(error),
        })?;
        let request = Request::new(Pod::url_path(&(), Some(&key.namespace)))
            .create(&PostParams::default(), body)
            .map_err(|error| Error::Refused {
                what: what.clone(),
                source: kube::Error::BuildRequest(error),
            })?;
        let client = &self.lifecycle.store().connection().client;
        match answer::ask(self.deadline(), client.request::<Pod>(request)).await {
            Answer::Applied(pod) => Ok(pod),
            Answer::Conflict(_) => {
                let api = self.pods(&key.namespace);
                let found = store::read(self.deadline(), &what, || api.get_opt(&key.name)).await?;
                match found {
                    Some(pod) if owned::pod_worker_uid(&pod) == Some(key.uid.as_str()) => Ok(pod),
                    Some(_) => {
                        Err(Error::Foreign { what, kind: "Pod", name: key.name.clone() })
                    }
                    None => Err(moved(what)),
                }
            }
            other => Err(failed(what, other)),
        }
    }
}

/// Deletes this very object and none of its namesakes.
pub(super) fn by_uid(uid: Option<String>) -> DeleteParams {
    DeleteParams::default()
        .preconditions(Preconditions { uid, resource_version: None })
}

/// An answer that was neither a success nor a conflict, as an error. Creations and deletions by
/// uid are safe to try again, so doubt about them is no more than a failed call.
pub(super) fn failed<T>(what: String, answer: Answer<T>) -> Error {
    match answer {
        Answer::Refused(source) => Error::Refused { what, source },
        Answer::Throttled(pause) => Error::Throttled { what, pause },
        Answer::Unknown(source) => Error::Unavailable { what, source },
        Answer::Conflict(status) => Error::Refused { what, source: kube::Error::Api(status) },
        Answer::Applied(_) => moved(what),
    }
}

/// The world moved between two calls: look again.
fn moved(what: String) -> Error {
    Error::Unavailable { what, source: Doubt::Moved }
}
