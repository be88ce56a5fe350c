//! Nodes: whether the one that a pod is on is being emptied, or is gone.

use std::hash::{DefaultHasher, Hash, Hasher};

use duckworker_api::DuckWorker;
use duckworker_client::Connection;
use duckworker_client::cache::guarded_watch;
use duckworker_core::plan::observed::PodSeen;
use duckworker_core::plan::worker::NodeStanding;
use futures::{Stream, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeSpec, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};

use super::watches::{Touched, worker_of};

/// What an administrator puts on a node that is gone for good.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// All nodes, without what nobody reads; and those whose cordon or taints changed.
pub fn watch(
    connection: &Connection,
) -> (Store<Node>, impl Stream<Item = Touched<Node>> + Send + use<>) {
    let (reader, writer) = store();
    let api: Api<DeserializeGuard<Node>> = Api::all(connection.client.clone());
    let events = guarded_watch(api, watcher::Config::default(), &connection.dice);
    let events = events.modify(trim).map_ok(mark_deleted);
    let changes = reflector(writer, events).touched_objects();
    (reader, changes.predicate_filter(availability, kube::runtime::PredicateConfig::default()))
}

fn trim(node: &mut Node) {
    node.managed_fields_mut().clear();
    node.annotations_mut().clear();
    node.labels_mut().clear();
    node.status = None;
}

/// A node is deleted without notice: the last that is seen of it looks as it did before. What is
/// told on must differ, or nobody hears of the end.
fn mark_deleted(mut event: watcher::Event<Node>) -> watcher::Event<Node> {
    if let watcher::Event::Delete(node) = &mut event {
        node.metadata.deletion_timestamp.get_or_insert(Time(Timestamp::UNIX_EPOCH));
    }
    event
}

/// What a worker is concerned by; a kubelet's heartbeats are not.
#[allow(clippy::unnecessary_wraps, reason = "the signature of a predicate")]
fn availability(node: &Node) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    is_cordoned(node).hash(&mut hasher);
    is_out_of_service(node).hash(&mut hasher);
    node.metadata.deletion_timestamp.is_some().hash(&mut hasher);
    Some(hasher.finish())
}

fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default()
}

/// Marked as gone for good by an administrator.
pub fn is_out_of_service(node: &Node) -> bool {
    let taints = |spec: &NodeSpec| spec.taints.clone().unwrap_or_default();
    let is_mark = |taint: &Taint| taint.key == OUT_OF_SERVICE;
    node.spec.as_ref().map(taints).unwrap_or_default().iter().any(is_mark)
}

/// The standing of a pod's node, as the cache has it. What is irrevocable is read again first.
pub fn standing(nodes: &Store<Node>, pod: Option<&PodSeen>) -> NodeStanding {
    let name = pod.and_then(|pod| pod.node.as_deref());
    // Without the right to read nodes there are none, which proves nothing.
    let Some(name) = name.filter(|_| !nodes.is_empty()) else { return NodeStanding::Open };
    match nodes.get(&ObjectRef::new(name)) {
        None => NodeStanding::Gone,
        Some(node) if is_out_of_service(&node) => NodeStanding::Gone,
        Some(node) if is_cordoned(&node) => NodeStanding::Cordoned,
        Some(_) => NodeStanding::Open,
    }
}

/// The workers whose pods are on this node.
pub fn workers_on(pods: &Store<Pod>, node: &Node) -> Vec<ObjectRef<DuckWorker>> {
    let name = node.name_any();
    let on_it = |pod: &Pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(name.as_str())
    };
    pods.state().iter().filter(|pod| on_it(pod)).filter_map(|pod| worker_of(&**pod)).collect()
}
