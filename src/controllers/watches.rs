//! What the controllers watch, and how little of it they keep.

use std::sync::Arc;
use std::time::Duration;

use duckworker_api::{DuckWorker, WorkerPod, labels};
use duckworker_client::cache::{Readable, guarded_watch};
use duckworker_client::{Connection, WorkerCache};
use duckworker_core::{Uid, WorkerState};
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::watch;

/// One namespace, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// Just this one.
    Namespace(String),
}

impl Scope {
    /// The namespace; none for all.
    pub const fn namespace(&self) -> Option<&str> {
        match self {
            Self::Cluster => None,
            Self::Namespace(name) => Some(name.as_str()),
        }
    }

    /// The API of a kind in this scope.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(name) => Api::namespaced(client.clone(), name),
        }
    }
}

impl From<&crate::settings::Scope> for Vec<Scope> {
    /// One controller each.
    fn from(scope: &crate::settings::Scope) -> Self {
        match scope {
            crate::settings::Scope::Cluster => vec![Scope::Cluster],
            crate::settings::Scope::Namespaces(names) => {
                names.iter().cloned().map(Scope::Namespace).collect()
            }
        }
    }
}

/// A watch error, or the object that changed.
pub type Touched<K> = watcher::Result<K>;

/// No pause for the merged stream of all watches: each has its own. With the library's default
/// one broken watch holds up all others, for longer with each, up to a minute.
#[derive(Debug, Clone)]
pub struct Undelayed;

impl Iterator for Undelayed {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::ZERO)
    }
}

impl Backoff for Undelayed {
    fn reset(&mut self) {}
}

/// Follows what concerns more than a worker's own reconcile.
pub trait WorkerFollower: Send + 'static {
    /// The watch told this, and the cache has it.
    fn follow(&self, event: &watcher::Event<DuckWorker>);
}

/// Workers.
pub fn workers<F: WorkerFollower>(
    connection: &Connection,
    scope: &Scope,
    follower: F,
) -> (WorkerCache, impl Stream<Item = Touched<DuckWorker>> + Send + use<F>) {
    WorkerCache::follow(connection, scope.namespace(), move |event| follower.follow(event))
}

/// What a watch tells, once its cache holds it, beside the objects that changed.
pub enum Told {
    /// It has shown a child of the worker with this uid.
    Shown(Uid),
    /// It began anew: what vanished meanwhile is not in the cache, and nobody was told.
    Relisted,
}

/// What a pod or a secret says of itself. Whose it is, [`duckworker_api::owned`] says.
pub trait OfWorker {
    /// Its namespace.
    fn namespace(&self) -> Option<&str>;
    /// The name of its worker, by its label.
    fn worker_name(&self) -> Option<&str>;
    /// The uid of its worker, by its label.
    fn worker_uid(&self) -> Option<&str>;
    /// When it was created.
    fn created(&self) -> Option<Timestamp>;
    /// Whether it is being deleted.
    fn is_leaving(&self) -> bool;
}

impl OfWorker for WorkerPod {
    fn namespace(&self) -> Option<&str> {
        self.metadata.namespace.as_deref()
    }

    fn worker_name(&self) -> Option<&str> {
        self.labels().get(labels::WORKER_NAME).map(String::as_str)
    }

    fn worker_uid(&self) -> Option<&str> {
        self.labels().get(labels::WORKER_UID).map(String::as_str)
    }

    fn created(&self) -> Option<Timestamp> {
        self.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    fn is_leaving(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }
}

impl Told {
    fn by<K: OfWorker>(event: &watcher::Event<K>) -> Option<Self> {
        match event {
            watcher::Event::Init => None,
            watcher::Event::InitDone => Some(Self::Relisted),
            watcher::Event::Apply(child)
            | watcher::Event::InitApply(child)
            | watcher::Event::Delete(child) => Uid::new(child.worker_uid()?).ok().map(Self::Shown),
        }
    }
}

/// A stream of the changes of a channel.
pub fn changes(receiver: watch::Receiver<()>) -> impl Stream<Item = ()> + Send {
    stream::unfold(receiver, async |mut receiver| {
        receiver.changed().await.ok().map(|()| ((), receiver))
    })
}

/// Pods of workers, by our label: without what plans do not read.
pub fn pods<F: Fn(Told) + Send + 'static>(
    connection: &Connection,
    scope: &Scope,
    follow: F,
) -> (Store<WorkerPod>, impl Stream<Item = Touched<WorkerPod>> + Send + use<F>) {
    let (reader, writer) = store();
    let api: Api<Readable<WorkerPod>> = scope.api(&connection.client);
    let events = guarded_watch(api, ours(), &connection.dice).modify(WorkerPod::trim);
    let events = reflector(writer, events);
    (reader, events.inspect(move |event| tell(event, &follow)).touched_objects())
}

pub(super) fn tell<K: OfWorker>(
    event: &watcher::Result<watcher::Event<K>>,
    follow: &impl Fn(Told),
) {
    if let Some(told) = event.as_ref().ok().and_then(Told::by) {
        follow(told);
    }
}

/// Leases of instances. `gone` is told of each that was deleted.
pub fn leases<F: Fn() + Send + 'static>(
    connection: &Connection,
    namespace: &str,
    gone: F,
) -> (Store<Lease>, impl Stream<Item = Touched<Lease>> + Send + use<F>) {
    let (reader, writer) = store();
    let api: Api<Readable<Lease>> = Api::namespaced(connection.client.clone(), namespace);
    let selector = format!("{}={}", labels::COMPONENT, labels::CONTROL_PLANE);
    let config = watcher::Config::default().labels(&selector);
    let events =
        reflector(writer, guarded_watch(api, config, &connection.dice)).inspect(move |event| {
            if let Ok(watcher::Event::Delete(_)) = event {
                gone();
            }
        });
    (reader, events.touched_objects())
}

pub(super) fn ours() -> watcher::Config {
    watcher::Config::default().labels(labels::WORKER_UID)
}

/// The worker that a pod or a secret says it belongs to. A hint only: it decides who is looked
/// at, not what is done.
pub fn worker_of<K: OfWorker>(child: &K) -> Option<ObjectRef<DuckWorker>> {
    Some(ObjectRef::new(child.worker_name()?).within(child.namespace()?))
}

/// The workers that a change of an instance's Lease concerns: all but those that a live controller
/// holds and looks after. Whoever's turn it is sees to what has ended, to what is being deleted and
/// its owner lets lie, and to the pods of control planes that live on.
pub fn concerned(
    workers: &Store<DuckWorker>,
    is_live_controller: impl Fn(&str) -> bool,
) -> Vec<ObjectRef<DuckWorker>> {
    let is_held = |worker: &DuckWorker| {
        let owner = worker.status.as_ref().and_then(|status| status.owner.as_ref());
        owner.is_some_and(|owner| is_live_controller(owner))
    };
    let has_ended = |worker: &DuckWorker| {
        let state = worker.status.as_ref().and_then(|status| status.state.parse().ok());
        state.is_some_and(WorkerState::is_terminal)
    };
    let is_deleting = |worker: &DuckWorker| worker.metadata.deletion_timestamp.is_some();
    workers
        .state()
        .iter()
        .filter(|worker| has_ended(worker) || is_deleting(worker) || !is_held(worker))
        .map(|worker: &Arc<DuckWorker>| ObjectRef::from_obj(&**worker))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_but_what_a_live_controller_looks_after_concerns_whoever_s_turn_it_is() {
        let (store, mut writer) = store();
        let (now, never) = (json!("2026-01-01T00:00:00Z"), json!(null));
        for (name, state, owner, deletion) in [
            ("serves", "Hot", "living", &never),
            ("ended", "Retired", "living", &never),
            ("deleted", "Hot", "living", &now),
            ("orphan", "Hot", "dead", &never),
            ("held by a control plane", "Hot", "foreign", &never),
        ] {
            let worker = json!({
                "metadata": { "name": name, "namespace": "data", "uid": name, "deletionTimestamp": deletion },
                "spec": { "template": { "spec": { "containers": [] } } },
                "status": { "state": state, "owner": owner, "ownerEpoch": 1 },
            });
            writer.apply_watcher_event(&watcher::Event::Apply(
                serde_json::from_value::<DuckWorker>(worker).unwrap(),
            ));
        }
        let told = concerned(&store, |owner| owner == "living");
        let mut names: Vec<String> = told.into_iter().map(|worker| worker.name).collect();
        names.sort();
        assert_eq!(names, ["deleted", "ended", "held by a control plane", "orphan"]);
    }
}
