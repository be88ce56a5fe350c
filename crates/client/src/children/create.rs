//! Creations. They cannot be fenced, so what exists already is accepted only when it is this
//! worker's by an immutable mark.

use std::fmt::Debug;

use backon::BackoffBuilder;
use duckworker_api::{WorkerPod, owned};
use duckworker_core::planted::{Bug, planted};
use duckworker_core::{Uid, WorkerKey};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::{NamespaceResourceScope, Request};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Children;
use crate::answer::{self, Answer, Doubt};
use crate::error::Error;
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
        let name = secret.metadata.name.clone().unwrap_or_default();
        let what = format!("creating Secret {}/{name}", key.namespace);
        let body = encode(secret, &what)?;
        let made = match self.create::<Secret>(&key.namespace, &name, &body, &what).await? {
            Created::New(made) => made,
            // Our own, by the random token in it: the answer of an earlier sending was lost.
            Created::Found(found) if found.data == secret.data => found,
            Created::Found(found) if planted(Bug::ForeignSecretTrusted) => found,
            Created::Found(found) => return self.replace(key, found, what).await,
        };
        slot.secret = made.metadata.uid.and_then(|uid| Uid::new(uid).ok());
        Ok(())
    }

    /// The uid of the secret that this process made for the worker.
    pub async fn made_secret(&self, uid: &Uid) -> Option<Uid> {
        self.lifecycle.slot(uid).await.secret.clone()
    }

    /// Deletes an untrusted secret; the next step makes a new one. If a predecessor's pod is
    /// there after all (a cache lagged), the secret is that pod's and stays.
    async fn replace(&self, key: &WorkerKey, found: Secret, what: String) -> Result<(), Error> {
        let name = found.metadata.name.clone().unwrap_or_default();
        let uid = Some(key.uid.as_str());
        if owned::secret_worker_uid(&found) != uid {
            return Err(Error::Foreign { what, kind: "Secret", name });
        }
        let pod = self.read_pod(&key.namespace, &key.name).await?;
        if pod.is_some_and(|pod| owned::pod_worker_uid(&pod) == uid) {
            return Ok(());
        }
        let api = self.secrets(&key.namespace);
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
    pub async fn create_pod(
        &self,
        lease: &WorkerLease,
        pod: &impl Serialize,
    ) -> Result<WorkerPod, Error> {
        let key = lease.key();
        let what = format!("creating Pod {}/{}", key.namespace, key.name);
        let body = encode(pod, &what)?;
        match self.create::<WorkerPod>(&key.namespace, &key.name, &body, &what).await? {
            Created::New(pod) => Ok(pod),
            Created::Found(pod) if owned::pod_worker_uid(&pod) == Some(key.uid.as_str()) => Ok(pod),
            Created::Found(_) => Err(Error::Foreign { what, kind: "Pod", name: key.name.clone() }),
        }
    }

    /// Creates an object, or finds the one that has its name. After a lost answer the same bytes
    /// are sent again: the name makes it happen once.
    async fn create<K>(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        what: &str,
    ) -> Result<Created<K>, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let client = &self.lifecycle.store().connection().client;
        let api: Api<K> = Api::namespaced(client.clone(), namespace);
        let mut pauses = self.connection().backoff().with_max_times(SENDINGS).build();
        loop {
            let request = Request::new(K::url_path(&(), Some(namespace)))
                .create(&PostParams::default(), body.to_vec())
                .map_err(|error| refused(what, kube::Error::BuildRequest(error)))?;
            match answer::ask(self.deadline(), client.request::<K>(request)).await {
                Answer::Applied(object) => return Ok(Created::New(object)),
                Answer::Conflict(_) => {
                    let found =
                        self.connection().read(self.deadline(), what, || api.get_opt(name)).await?;
                    return found.map(Created::Found).ok_or_else(|| moved(what.to_owned()));
                }
                Answer::Unknown(doubt) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(failed(what.to_owned(), Answer::<()>::Unknown(doubt))),
                },
                other => return Err(failed(what.to_owned(), other)),
            }
        }
    }
}

/// How often a creation is sent again in one go; the next reconcile goes on.
const SENDINGS: usize = 2;

/// What became of a creation.
enum Created<K> {
    /// It was made now.
    New(K),
    /// One of that name exists.
    Found(K),
}

fn encode(object: &impl Serialize, what: &str) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(object).map_err(|error| refused(what, kube::Error::SerdeError(error)))
}

fn refused(what: &str, source: kube::Error) -> Error {
    Error::Refused { what: what.to_owned(), source }
}

/// Deletes this very object and none of its namesakes.
pub(super) fn by_uid(uid: Option<String>) -> DeleteParams {
    if planted(Bug::NoUidPrecondition) {
        return DeleteParams::default();
    }
    DeleteParams::default().preconditions(Preconditions { uid, resource_version: None })
}

/// An answer that was neither a success nor a conflict, as an error. Creations and deletions by
/// uid are safe to try again, so doubt about them is no more than a failed call.
pub(crate) fn failed<T>(what: String, answer: Answer<T>) -> Error {
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
