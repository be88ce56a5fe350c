//! Deletion in all its forms, with the garbage collector, the kubelets and namespaces.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use duckworker_sim::actors::kubelet::LIFE;
use duckworker_sim::{Change, SimCluster, simulate};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::ResourceExt;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy,
};
use serde_json::{Value, json};

fn keep(mut object: Value) -> Value {
    object["metadata"]["finalizers"] = json!(["test.dev/keep"]);
    object
}

async fn let_go(api: &Api<ConfigMap>, name: &str) {
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

#[test]
fn preconditions_protect_successors() {
    simulate(1, |cluster| async move {
        let api = config_maps(&cluster);
        let object = create(&api, config_map("a")).await.unwrap();
        let only = |uid: Option<String>, resource_version: Option<String>| DeleteParams {
            preconditions: Some(Preconditions { uid, resource_version }),
            ..DeleteParams::default()
        };
        let other = api.delete("a", &only(Some("other".into()), None)).await;
        assert_eq!(code_and_reason(other), (409, "Conflict".into()));
        let stale = api.delete("a", &only(None, Some("1".into()))).await;
        assert_eq!(code_and_reason(stale), (409, "Conflict".into()));
        let done = api.delete("a", &only(object.uid(), object.resource_version())).await.unwrap();
        assert!(done.right().unwrap().is_success());
        assert_eq!(code_and_reason(api.delete("a", &only(None, None)).await).0, 404);
    })
    .unwrap();
}

#[test]
fn finalizers_keep_an_object() {
    simulate(1, |cluster| async move {
        let api = config_maps(&cluster);
        create(&api, keep(config_map("a"))).await.unwrap();
        let going = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
        assert!(going.metadata.deletion_timestamp.is_some());
        let again = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
        assert_eq!(again.resource_version(), going.resource_version());
        let more =
            Patch::Merge(json!({ "metadata": { "finalizers": ["test.dev/keep", "test.dev/x"] } }));
        let refused = api.patch("a", &PatchParams::default(), &more).await;
        assert_eq!(code_and_reason(refused).0, 422);
        let_go(&api, "a").await;
        assert!(api.get_opt("a").await.unwrap().is_none());
        assert_eq!(cluster.history().last().unwrap().change, Change::Deleted);
    })
    .unwrap();
}

async fn family(cluster: &SimCluster, blocks: bool) -> Api<ConfigMap> {
    let api = config_maps(cluster);
    let mut owner =
        serde_json::to_value(create(&api, keep(config_map("owner"))).await.unwrap()).unwrap();
    owner["apiVersion"] = "v1".into();
    owner["kind"] = "ConfigMap".into();
    create(&api, owned_by(config_map("child"), &owner, blocks)).await.unwrap();
    api
}

async fn names(api: &Api<ConfigMap>) -> Vec<String> {
    tokio::time::sleep(seconds(5)).await;
    api.list(&ListParams::default())
        .await
        .unwrap()
        .items
        .iter()
        .map(ResourceExt::name_any)
        .collect()
}

fn policy(policy: PropagationPolicy) -> DeleteParams {
    DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() }
}

#[test]
fn background_deletes_the_owner_first() {
    simulate(1, |cluster| async move {
        cluster.start();
        let api = family(&cluster, true).await;
        api.delete("owner", &policy(PropagationPolicy::Background)).await.unwrap();
        assert_eq!(names(&api).await, ["child", "owner"]);
        let_go(&api, "owner").await;
        assert!(names(&api).await.is_empty());
    })
    .unwrap();
}

#[test]
fn foreground_deletes_the_dependents_first() {
    for blocks in [true, false] {
        simulate(1, |cluster| async move {
            cluster.start();
            let api = family(&cluster, blocks).await;
            api.delete("owner", &policy(PropagationPolicy::Foreground)).await.unwrap();
            tokio::time::sleep(seconds(5)).await;
            // Our own finalizer still holds it; the collector's is gone, and so may the child be.
            let owner = api.get("owner").await.unwrap();
            assert_eq!(owner.finalizers(), ["test.dev/keep"]);
            if blocks {
                assert!(api.get_opt("child").await.unwrap().is_none());
            }
            let_go(&api, "owner").await;
            assert!(names(&api).await.is_empty());
        })
        .unwrap();
    }
}

#[test]
fn orphaning_lets_the_dependents_live() {
    simulate(1, |cluster| async move {
        cluster.start();
        let api = family(&cluster, true).await;
        api.delete("owner", &policy(PropagationPolicy::Orphan)).await.unwrap();
        assert_eq!(names(&api).await, ["child", "owner"]);
        assert!(api.get("child").await.unwrap().owner_references().is_empty());
        let_go(&api, "owner").await;
        assert_eq!(names(&api).await, ["child"]);
    })
    .unwrap();
}

#[test]
fn a_dependent_of_nobody_goes() {
    simulate(1, |cluster| async move {
        cluster.start();
        let api = config_maps(&cluster);
        let nobody = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x", "uid": "gone" }
        });
        create(&api, owned_by(config_map("child"), &nobody, false)).await.unwrap();
        assert!(names(&api).await.is_empty());
    })
    .unwrap();
}

fn phase(pod: &Pod) -> String {
    pod.status.clone().unwrap_or_default().phase.unwrap_or_default()
}

#[test]
fn pods_live_and_are_stopped() {
    simulate(1, |cluster| async move {
        cluster.start();
        let api = pods(&cluster);
        create(&api, pod("p")).await.unwrap();
        tokio::time::sleep(seconds(5)).await;
        let running = api.get("p").await.unwrap();
        assert_eq!(phase(&running), "Running");
        assert!(running.status.unwrap().pod_ip.is_some());
        let going = api.delete("p", &DeleteParams::default()).await.unwrap().left().unwrap();
        assert_eq!(going.metadata.deletion_grace_period_seconds, Some(30));
        tokio::time::sleep(seconds(5)).await;
        assert!(api.get_opt("p").await.unwrap().is_none());
    })
    .unwrap();
}

#[test]
fn hard_lives_are_led() {
    simulate(1, |cluster| async move {
        cluster.start();
        let api = pods(&cluster);
        for life in ["unschedulable", "imageless", "unready", "failing", "stubborn"] {
            let mut pod = pod(life);
            pod["metadata"]["annotations"] = json!({ LIFE: life });
            create(&api, pod).await.unwrap();
        }
        tokio::time::sleep(seconds(90)).await;
        let of = async |name: &str| api.get(name).await.unwrap();
        assert!(of("unschedulable").await.spec.unwrap().node_name.is_none());
        assert_eq!(phase(&of("imageless").await), "Pending");
        let unready = of("unready").await.status.unwrap().conditions.unwrap();
        assert!(unready.iter().any(|c| c.type_ == "Ready" && c.status == "False"));
        assert_eq!(phase(&of("failing").await), "Failed");
        for life in ["unschedulable", "failing", "stubborn"] {
            api.delete(life, &DeleteParams::default()).await.unwrap();
        }
        // Without a node, or when all is over, nobody waits.
        assert!(api.get_opt("unschedulable").await.unwrap().is_none());
        assert!(api.get_opt("failing").await.unwrap().is_none());
        tokio::time::sleep(seconds(29)).await;
        assert!(api.get_opt("stubborn").await.unwrap().is_some());
        tokio::time::sleep(seconds(5)).await;
        assert!(api.get_opt("stubborn").await.unwrap().is_none());
    })
    .unwrap();
}

#[test]
fn a_silent_node_stops_nothing() {
    simulate(1, |cluster| async move {
        cluster.start();
        let api = pods(&cluster);
        create(&api, pod("p")).await.unwrap();
        tokio::time::sleep(seconds(5)).await;
        let node = api.get("p").await.unwrap().spec.unwrap().node_name.unwrap();
        cluster.kubelets().silence(&node);
        api.delete("p", &DeleteParams::default()).await.unwrap();
        tokio::time::sleep(seconds(600)).await;
        assert!(api.get_opt("p").await.unwrap().is_some());
        let force = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        api.delete("p", &force).await.unwrap();
        assert!(api.get_opt("p").await.unwrap().is_none());
    })
    .unwrap();
}

#[test]
fn namespaces_are_emptied() {
    simulate(1, |cluster| async move {
        cluster.start();
        cluster.create_namespace("doomed");
        let inside: Api<ConfigMap> = Api::namespaced(client(&cluster), "doomed");
        create(&inside, keep(config_map("a"))).await.unwrap();
        create(&inside, config_map("b")).await.unwrap();
        let namespaces: Api<Namespace> = Api::all(client(&cluster));
        namespaces.delete("doomed", &DeleteParams::default()).await.unwrap();
        let refused = refusal(create(&inside, config_map("c")).await);
        assert_eq!(refused.code, 403);
        assert_eq!(refused.details.as_ref().unwrap().causes[0].reason, "NamespaceTerminating");
        tokio::time::sleep(seconds(60)).await;
        assert_eq!(inside.list(&ListParams::default()).await.unwrap().items.len(), 1);
        let_go(&inside, "a").await;
        tokio::time::sleep(seconds(5)).await;
        assert!(namespaces.get_opt("doomed").await.unwrap().is_none());
    })
    .unwrap();
}
