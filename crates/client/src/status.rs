//! Kinds of which all that matters is one status, written by compare-and-swap: pools and claims.
//!
//! A lost answer needs no memory here. Whatever became of the write, the next plan begins with what
//! stands there, and the version in an old one keeps it from landing late on anything else.

use std::fmt::Debug;
use std::sync::Arc;

use duckworker_api::Unreadable;
use duckworker_api::decode::Decode;
use duckworker_core::Version;
use kube::api::PostParams;
use kube::core::{NamespaceResourceScope, Request};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde_json::json;

use crate::answer::{self, Answer};
use crate::error::Error;
use crate::instance::Instance;
use crate::store::WorkerStore;

/// An object as it was read. Comes only out of the API server's answers.
pub(crate) trait Snapshot: Sized {
    /// The kind, as it stands in the API.
    type Kind: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Decode;

    /// Parses what a watch or a read showed.
    fn parse(object: Arc<Self::Kind>) -> Result<Self, Unreadable>;

    /// The object.
    fn object(&self) -> &Self::Kind;

    /// The version that was read.
    fn version(&self) -> &Version;
}

/// What became of the write of a status.
#[derive(Debug)]
#[must_use = "a write that did not land must be planned again"]
pub enum Written<S> {
    /// It landed; this is the object now.
    Landed(S),
    /// It did not, since the object had moved; this is the object now, none if it is gone.
    Moved(Option<S>),
}

/// A consistent read. `None`: there is no object of that name.
pub(crate) async fn observe<S: Snapshot>(
    store: &WorkerStore,
    namespace: &str,
    name: &str,
) -> Result<Option<S>, Error> {
    let connection = store.connection();
    let what = format!("reading {} {namespace}/{name}", S::Kind::kind(&()));
    let api: Api<S::Kind> = Api::namespaced(connection.client.clone(), namespace);
    let found = connection.read(store.deadline(), &what, || api.get_opt(name)).await?;
    let parsed = found.map(|object| S::parse(Arc::new(object))).transpose();
    parsed.map_err(|source| Error::Unreadable { what, source })
}

/// Writes a status over the version that was read.
pub(crate) async fn write<S: Snapshot>(
    store: &WorkerStore,
    instance: &Instance,
    seen: &S,
    status: impl Serialize,
) -> Result<Written<S>, Error> {
    let (kind, object) = (S::Kind::kind(&()), seen.object());
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let what = format!("writing the status of {kind} {namespace}/{name}");
    instance.in_office(|| what.clone())?;
    let refused = |source| Error::Refused { what: what.clone(), source };
    let body = json!({
        "apiVersion": S::Kind::api_version(&()),
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": object.meta().uid,
            "resourceVersion": seen.version().as_str(),
        },
        "status": status,
    });
    let body =
        serde_json::to_vec(&body).map_err(|error| refused(kube::Error::SerdeError(error)))?;
    let request = Request::new(S::Kind::url_path(&(), Some(&namespace)))
        .replace_subresource("status", &name, &PostParams::default(), body)
        .map_err(|error| refused(kube::Error::BuildRequest(error)))?;
    match answer::ask(store.deadline(), store.connection().send::<S::Kind>(request)).await {
        Answer::Applied(object) => match S::parse(Arc::new(object)) {
            Ok(snapshot) => Ok(Written::Landed(snapshot)),
            Err(source) => Err(Error::Unreadable { what, source }),
        },
        Answer::Refused(kube::Error::Api(status)) if status.code == 404 => Ok(Written::Moved(None)),
        Answer::Refused(source) => Err(Error::Refused { what, source }),
        Answer::Throttled(pause) => Err(Error::Throttled { what, pause }),
        Answer::Conflict(_) | Answer::Unknown(_) => {
            let now: Option<S> = observe(store, &namespace, &name).await?;
            // A namesake is another object.
            Ok(Written::Moved(now.filter(|now| now.object().meta().uid == object.meta().uid)))
        }
    }
}
