//! What the controllers watch, and how little of it they keep.

use std::sync::Arc;

use duckworker_api::{DuckWorker, labels};
use duckworker_client::cache::guarded_watch;
use duckworker_core::WorkerState;
use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};

/// One namespace, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// Just this one.
    Namespace(String),
}

impl Scope {
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

/// Follows what concerns more than a worker's own reconcile.
pub trait WorkerFollower: Send + 'static {
    /// A worker is gone.
    fn gone(&self, worker: &DuckWorker);
}

/// Workers. Once a worker has its pod, its template is needed no more and dropped.
pub fn workers<F: WorkerFollower>(
    client: &Client,
    scope: &Scope,
    follower: F,
) -> (Store<DuckWorker>, impl Stream<Item = Touched<DuckWorker>> + Send + use<F>) {
    let (reader, writer) = store();
    let api: Api<DeserializeGuard<DuckWorker>> = scope.api(client);
    let events = guarded_watch(api, watcher::Config::default())
        .modify(trim_worker)
        .inspect(move |event| {
            if let Ok(watcher::Event::Delete(worker)) = event {
                follower.gone(worker);
            }
        });
    (reader, reflector(writer, events).touched_objects())
}

fn trim_worker(worker: &mut DuckWorker) {
    worker.managed_fields_mut().clear();
    worker.annotations_mut().clear();
    let state = worker.status.as_ref().and_then(|s| s.state.parse::<WorkerState>().ok());
    let needs_template =
        matches!(state, None | Some(WorkerState::Pending | WorkerState::Spawning));
    if !needs_template {
        worker.spec.template.trim();
    }
}

/// Pods of workers, by our label: without what plans do not read.
pub fn pods(
    client: &Client,
    scope: &Scope,
) -> (Store<Pod>, impl Stream<Item = Touched<Pod>> + Send + use<>) {
    let (reader, writer) = store();
    let api: Api<DeserializeGuard<Pod>> = scope.api(client);
    let events = guarded_watch(api, ours()).modify(trim_pod);
    (reader, reflector(writer, events).touched_objects())
}

fn trim_pod(pod: &mut Pod) {
    pod.managed_fields_mut().clear();
    if let Some(spec) = pod.spec.as_mut() {
        spec.volumes = None;
        spec.init_containers = None;
        spec.tolerations = None;
        spec.affinity = None;
        spec.containers.retain(|c| c.name == labels::DUCKDB_CONTAINER);
        for container in &mut spec.containers {
            container.volume_mounts = None;
            container.resources = None;
            if let Some(env) = container.env.as_mut() {
                env.retain(|variable| variable.name == labels::UID_ENV);
            }
        }
    }
}

/// Secrets of workers, by our label: metadata only, no secret byte enters this process.
pub fn secrets(
    client: &Client,
    scope: &Scope,
) -> (
    Store<PartialObjectMeta<Secret>>,
    impl Stream<Item = Touched<PartialObjectMeta<Secret>>> + Send + use<>,
) {
    let (reader, writer) = store();
    let api: Api<PartialObjectMeta<Secret>> = scope.api(client);
    let events = watcher(api, ours()).default_backoff().modify(|secret| {
        secret.managed_fields_mut().clear();
    });
    (reader, reflector(writer, events).touched_objects())
}

/// Leases of instances.
pub fn leases(
    client: &Client,
    namespace: &str,
) -> (Store<Lease>, impl Stream<Item = Touched<Lease>> + Send + use<>) {
    let (reader, writer) = store();
    let api: Api<DeserializeGuard<Lease>> = Api::namespaced(client.clone(), namespace);
    let selector = format!("{}={}", labels::COMPONENT, labels::CONTROL_PLANE);
    let config = watcher::Config::default().labels(&selector);
    let events = guarded_watch(api, config);
    (reader, reflector(writer, events).touched_objects())
}

fn ours() -> watcher::Config {
    watcher::Config::default().labels(labels::WORKER_UID)
}

/// The worker that a pod or a secret says it belongs to. A hint only: it decides who is looked
/// at, not what is done.
pub fn worker_of<K: ResourceExt>(child: &K) -> Option<ObjectRef<DuckWorker>> {
    let name = child.labels().get(labels::WORKER_NAME)?;
    Some(ObjectRef::new(name).within(&child.namespace()?))
}

/// The workers that a change of an instance's Lease concerns: those that no live one holds.
pub fn unheld(
    workers: &Store<DuckWorker>,
    is_held: impl Fn(&str) -> bool,
) -> Vec<ObjectRef<DuckWorker>> {
    let owner = |worker: &DuckWorker| worker.status.as_ref().and_then(|s| s.owner.clone());
    workers
        .state()
        .iter()
        .filter(|worker| owner(worker).is_none_or(|owner| !is_held(&owner)))
        .map(|worker: &Arc<DuckWorker>| ObjectRef::from_obj(&**worker))
        .collect()
}
