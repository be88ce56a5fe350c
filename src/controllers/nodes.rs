//! Nodes: whether the one that a pod is on is being emptied, or is gone.

use std::hash::{DefaultHasher, Hash, Hasher};

use duckworker_api::{DuckWorker, WorkerPod};
use duckworker_client::Connection;
use duckworker_client::cache::{Readable, guarded_watch};
use duckworker_core::plan::observed::PodSeen;
use duckworker_core::plan::worker::NodeStanding;
use futures::{Stream, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};

use super::watches::{Touched, worker_of};

/// What those put on a node who are about to remove it, beside cordoning it or before that: the node is
/// emptied as if it were cordoned. Karpenter's consolidation, and the cluster autoscaler.
const ABOUT_TO_GO: [&str; 2] = ["karpenter.sh/disrupted", "ToBeDeletedByClusterAutoscaler"];

/// What an administrator puts on a node that is gone for good.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// All nodes, without what nobody reads; and those whose cordon or taints changed.
pub fn watch(
    connection: &Connection,
) -> (Store<Node>, impl Stream<Item = Touched<Node>> + Send + use<>) {
    let (reader, writer) = store();
    let api: Api<Readable<Node>> = Api::all(connection.client.clone());
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

/// By a person, or by what scales the nodes.
fn is_cordoned(node: &Node) -> bool {
    let unschedulable = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
    unschedulable || ABOUT_TO_GO.iter().any(|taint| is_tainted(node, taint))
}

/// Marked as gone for good by an administrator.
pub fn is_out_of_service(node: &Node) -> bool {
    is_tainted(node, OUT_OF_SERVICE)
}

fn is_tainted(node: &Node, key: &str) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().any(|taint| taint.key == key)
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
pub fn workers_on(pods: &Store<WorkerPod>, node: &Node) -> Vec<ObjectRef<DuckWorker>> {
    let name = node.name_any();
    let on_it = |pod: &WorkerPod| pod.spec.node_name.as_deref() == Some(name.as_str());
    pods.state().iter().filter(|pod| on_it(pod)).filter_map(|pod| worker_of(&**pod)).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{NodeSpec, Taint};

    use super::*;

    fn node(spec: NodeSpec) -> Node {
        Node { spec: Some(spec), ..Node::default() }
    }

    fn tainted(key: &str) -> Node {
        let taint = Taint { key: key.to_owned(), ..Taint::default() };
        node(NodeSpec { taints: Some(vec![taint]), ..NodeSpec::default() })
    }

    #[test]
    fn a_node_is_emptied_whoever_is_about_to_remove_it() {
        let by_hand = node(NodeSpec { unschedulable: Some(true), ..NodeSpec::default() });
        let going = ABOUT_TO_GO.map(tainted);
        for node in going.iter().chain([&by_hand]) {
            assert!(is_cordoned(node) && !is_out_of_service(node), "{node:?}");
            assert_ne!(availability(node), availability(&Node::default()), "somebody is told");
        }
        for node in [Node::default(), tainted("dedicated"), tainted(OUT_OF_SERVICE)] {
            assert!(!is_cordoned(&node), "{node:?}");
        }
    }
}
