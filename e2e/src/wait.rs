//! Awaiting what the cluster shows, through watches: nothing here sleeps or asks again and again.

use std::{collections::BTreeMap, fmt::Debug, future::Future, time::Duration};

use anyhow::{Result, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watch_object, watcher},
    },
};
use serde::{Serialize, de::DeserializeOwned};

/// Long enough for anything on a busy machine; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// An object that can be watched and shown.
pub trait Watchable:
    Resource<DynamicType: Default> + Clone + DeserializeOwned + Serialize + Debug + Send + 'static
{
}

impl<K> Watchable for K where
    K: Resource<DynamicType: Default>
        + Clone
        + DeserializeOwned
        + Serialize
        + Debug
        + Send
        + 'static
{
}

/// Waits until an object fulfils a condition, and returns it as it was then. A missing object does
/// not fulfil it. `what` completes the sentence "… is not" in the error, such as "Ready".
pub async fn await_object<K: Watchable>(
    api: &Api<K>,
    name: &str,
    what: &str,
    condition: impl Fn(&K) -> bool,
) -> Result<K> {
    await_object_within(PATIENCE, api, name, what, condition).await
}

/// The same for what Kubernetes itself takes longer over.
pub async fn await_object_within<K: Watchable>(
    limit: Duration,
    api: &Api<K>,
    name: &str,
    what: &str,
    condition: impl Fn(&K) -> bool,
) -> Result<K> {
    let mut last = None;
    let seen = async {
        let mut objects = watch_object(api.clone(), name).default_backoff().boxed();
        while let Some(object) = objects.next().await {
            match object {
                Ok(Some(object)) if condition(&object) => return Some(object),
                Ok(object) => {
                    last = Some(object.as_ref().map_or_else(|| "absent".to_owned(), show));
                }
                Err(error) => last = Some(format!("unknown ({error})")),
            }
        }
        None
    };
    let seen = within(limit, seen).await;
    match seen {
        Some(object) => Ok(object),
        None => bail!(
            "{} {name} is not {what} after {} s; it is {}",
            K::kind(&K::DynamicType::default()),
            limit.as_secs(),
            last.as_deref().unwrap_or("not to be seen"),
        ),
    }
}

/// Waits until an object is gone. An object of the same name but another uid counts as gone.
pub async fn await_gone<K: Watchable>(api: &Api<K>, object: &K) -> Result<()> {
    let (name, uid) = (object.name_any(), object.uid());
    let what = format!("gone (uid {})", uid.as_deref().unwrap_or("unknown"));
    await_list(
        api,
        &watcher::Config::default().fields(&format!("metadata.name={name}")),
        &what,
        |objects| objects.iter().all(|object| object.uid() != uid),
    )
    .await?;
    Ok(())
}

/// Waits until the objects that a watch selects fulfil a condition together, and returns them.
/// `what` completes the sentence "the … are not" in the error.
pub async fn await_list<K: Watchable>(
    api: &Api<K>,
    selection: &watcher::Config,
    what: &str,
    condition: impl Fn(&[K]) -> bool,
) -> Result<Vec<K>> {
    let mut known = BTreeMap::new();
    let mut trouble = String::new();
    let seen = async {
        let mut complete = false;
        let events = watcher(api.clone(), selection.clone()).default_backoff();
        // All that has come is entered before the condition looks at thousands of objects again.
        let mut events = events.ready_chunks(1000).boxed();
        while let Some(chunk) = events.next().await {
            for event in chunk {
                match event {
                    Ok(event) => complete = record(&mut known, event, complete),
                    Err(error) => trouble = format!("; the watch failed: {error}"),
                }
            }
            let objects: Vec<K> = known.values().cloned().collect();
            if complete && condition(&objects) {
                return Some(objects);
            }
        }
        None
    };
    if let Some(objects) = within(PATIENCE, seen).await {
        return Ok(objects);
    }
    let shown: Vec<_> = known.values().map(show).collect();
    bail!(
        "the selected {} are not {what} after {} s; they are [{}]{trouble}",
        K::plural(&K::DynamicType::default()),
        PATIENCE.as_secs(),
        shown.join("; "),
    )
}

/// Enters an event into the known objects; returns whether these are complete.
fn record<K: Resource>(
    known: &mut BTreeMap<(Option<String>, String), K>,
    event: Event<K>,
    complete: bool,
) -> bool {
    let key = |object: &K| (object.namespace(), object.name_any());
    match event {
        Event::Init => known.clear(),
        Event::InitApply(object) => drop(known.insert(key(&object), object)),
        Event::InitDone => return true,
        Event::Apply(object) => {
            known.insert(key(&object), object);
            return complete;
        }
        Event::Delete(object) => {
            known.remove(&key(&object));
            return complete;
        }
    }
    false
}

/// Whether a pod serves.
pub fn pod_is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

/// The phase of a pod, such as `Running`.
pub fn pod_phase(pod: &Pod) -> &str {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase.unwrap_or("unknown")
}

async fn within<T>(limit: Duration, future: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok().flatten()
}

/// Name, version and status of an object; never its content, which may be secret.
fn show<K: Watchable>(object: &K) -> String {
    let value = serde_json::to_value(object).unwrap_or_default();
    let deleted = if object.meta().deletion_timestamp.is_some() { ", being deleted" } else { "" };
    format!(
        "{} (version {}{deleted}) {}",
        object.name_any(),
        object.resource_version().unwrap_or_default(),
        value.get("status").map(ToString::to_string).unwrap_or_default(),
    )
}
