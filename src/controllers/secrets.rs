//! The secrets of workers, as much as is seen of them: never what is in them.

use std::borrow::Cow;

use duckworker_api::{DuckWorker, labels};
use duckworker_client::Connection;
use duckworker_client::cache::watch_backoff;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::reflector::{Lookup, ObjectRef, Store, reflector, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};

use super::requeue;
use super::watches::{OfWorker, Scope, Told, ours, tell, worker_of};

/// A secret that bears a worker's label. Thousands are kept, and an object's metadata take a kilobyte and
/// a half: so no more of them than is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSeen {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub version: String,
    worker_name: Option<String>,
    worker_uid: Option<String>,
    created: Option<Timestamp>,
    is_leaving: bool,
}

impl From<ObjectMeta> for SecretSeen {
    fn from(meta: ObjectMeta) -> Self {
        let mut labels = meta.labels.unwrap_or_default();
        Self {
            name: meta.name.unwrap_or_default(),
            namespace: meta.namespace.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            version: meta.resource_version.unwrap_or_default(),
            worker_name: labels.remove(labels::WORKER_NAME),
            worker_uid: labels.remove(labels::WORKER_UID),
            created: meta.creation_timestamp.map(|time| time.0),
            is_leaving: meta.deletion_timestamp.is_some(),
        }
    }
}

impl OfWorker for SecretSeen {
    fn namespace(&self) -> Option<&str> {
        Some(&self.namespace)
    }

    fn worker_name(&self) -> Option<&str> {
        self.worker_name.as_deref()
    }

    fn worker_uid(&self) -> Option<&str> {
        self.worker_uid.as_deref()
    }

    fn created(&self) -> Option<Timestamp> {
        self.created
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving
    }
}

impl Lookup for SecretSeen {
    type DynamicType = ();

    fn kind((): &()) -> Cow<'_, str> {
        <Secret as Resource>::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        <Secret as Resource>::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        <Secret as Resource>::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        <Secret as Resource>::plural(&())
    }

    fn name(&self) -> Option<Cow<'_, str>> {
        Some((&*self.name).into())
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        Some((&*self.namespace).into())
    }

    /// The keys of a cache would keep it once more.
    fn resource_version(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// The same.
    fn uid(&self) -> Option<Cow<'_, str>> {
        None
    }
}

/// Secrets of workers, by our label, and the workers that they concern when they change. Metadata only:
/// no secret byte enters this process.
pub fn watch<F: Fn(Told) + Send + 'static>(
    connection: &Connection,
    scope: &Scope,
    follow: F,
) -> (Store<SecretSeen>, impl Stream<Item = ObjectRef<DuckWorker>> + Send + use<F>) {
    let (reader, writer) = store();
    let api: Api<PartialObjectMeta<Secret>> = scope.api(&connection.client);
    let events = watcher(api, ours()).backoff(watch_backoff(&connection.dice)).map_ok(seen);
    let events = reflector(writer, gone_with_their_namespace(events, connection, scope));
    let touched = events.inspect(move |event| tell(event, &follow)).touched_objects();
    let workers = touched.filter_map(async |touched| match touched {
        Ok(secret) => worker_of(&secret),
        Err(error) => {
            requeue::report_watch(&error);
            None
        }
    });
    (reader, workers)
}

fn seen(event: watcher::Event<PartialObjectMeta<Secret>>) -> watcher::Event<SecretSeen> {
    use watcher::Event;
    match event {
        Event::Apply(secret) => Event::Apply(secret.metadata.into()),
        Event::InitApply(secret) => Event::InitApply(secret.metadata.into()),
        Event::Delete(secret) => Event::Delete(secret.metadata.into()),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

/// In a namespace that is being deleted our right to see secrets may be gone before our finalizers
/// are. Its secrets go with it: who may not look takes them for gone, and can finish its workers.
fn gone_with_their_namespace<K: Send + 'static, S>(
    events: S,
    connection: &Connection,
    scope: &Scope,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + use<K, S>
where
    S: Stream<Item = watcher::Result<watcher::Event<K>>> + Send,
{
    let connection = connection.clone();
    let namespace = scope.namespace().map(str::to_owned);
    let seen = events.then(move |event| {
        let (connection, namespace) = (connection.clone(), namespace.clone());
        async move {
            let refused = event.as_ref().is_err_and(is_forbidden);
            let Some(namespace) = namespace.filter(|_| refused) else { return vec![event] };
            match connection.is_namespace_ending(&namespace).await {
                Ok(true) => vec![Ok(watcher::Event::Init), Ok(watcher::Event::InitDone)],
                _ => vec![event],
            }
        }
    });
    seen.flat_map(stream::iter)
}

fn is_forbidden(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(cause) | watcher::Error::WatchStartFailed(cause)) =
        error
    else {
        return false;
    };
    matches!(cause, kube::Error::Api(status) if status.code == 403)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_that_is_read_is_kept() {
        let metadata = json!({
            "name": "w1-rpc", "namespace": "data", "uid": "u", "resourceVersion": "7",
            "labels": { labels::WORKER_NAME: "w1", labels::WORKER_UID: "u-1" },
            "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-01T00:00:01Z",
        });
        let seen = SecretSeen::from(serde_json::from_value::<ObjectMeta>(metadata).unwrap());
        let kept = [&seen.name, &seen.namespace, &seen.uid, &seen.version];
        assert_eq!(kept, ["w1-rpc", "data", "u", "7"]);
        assert_eq!((seen.worker_name(), seen.worker_uid()), (Some("w1"), Some("u-1")));
        assert_eq!(seen.created().unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert!(seen.is_leaving());
        assert!(!SecretSeen::from(ObjectMeta::default()).is_leaving());
    }
}
