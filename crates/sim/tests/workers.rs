//! `DuckWorker`s: schema, defaults, the status subresource and the CEL rules of the CRD.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use duckworker_api::DuckWorker;
use duckworker_faults::Faults;
use duckworker_sim::{SimCluster, User, simulate};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};

async fn put_status(
    client: &Client,
    worker: &DuckWorker,
    status: Value,
) -> kube::Result<DuckWorker> {
    let name = worker.name_any();
    let url = format!("{}/{name}/status", DuckWorker::url_path(&(), Some(NS)));
    let body = json!({
        "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker",
        "metadata": {
            "name": name, "uid": worker.uid(), "resourceVersion": worker.resource_version()
        },
        "status": status,
    });
    let request = http::Request::put(url)
        .header("content-type", "application/json")
        .body(body.to_string().into_bytes())
        .unwrap();
    client.request(request).await
}

fn spawning() -> Value {
    json!({
        "state": "Spawning", "owner": "me", "ownerEpoch": 1,
        "writes": { "seq": 1, "ids": ["write-001"] },
        "stateSince": "2024-01-01T00:00:00Z",
        "transitions": [{
            "name": "adopt_new", "by": "me", "epoch": 1, "at": "2024-01-01T00:00:00Z"
        }],
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "Spawning", "message": "",
            "lastTransitionTime": "2024-01-01T00:00:00Z"
        }]
    })
}

async fn fresh(cluster: &SimCluster) -> DuckWorker {
    create(&workers(cluster), worker("w")).await.unwrap()
}

#[test]
fn a_new_worker_reads_pending() {
    simulate(1, |cluster| async move {
        let mut object = worker("w");
        object["status"] = json!({ "state": "Hot" });
        let stored = create(&workers(&cluster), object).await.unwrap();
        assert_eq!(stored.status.unwrap().state, "Pending");
        assert_eq!(stored.metadata.generation, Some(1));
        assert_eq!(stored.spec.drain_timeout_seconds, 900);
    })
    .unwrap();
}

#[test]
fn the_status_is_written_alone_and_by_the_table() {
    simulate(1, |cluster| async move {
        let client = client(&cluster);
        let new = fresh(&cluster).await;
        let taken = put_status(&client, &new, spawning()).await.unwrap();
        assert_eq!(taken.status.as_ref().unwrap().state, "Spawning");
        assert_eq!(taken.spec, new.spec);
        assert_eq!(taken.metadata.generation, Some(1));
        let stale = put_status(&client, &new, spawning()).await;
        assert_eq!(code_and_reason(stale), (409, "Conflict".into()));
        let mut illegal = spawning();
        illegal["state"] = "Hot".into();
        illegal["tenant"] = "t".into();
        illegal["writes"] = json!({ "seq": 2, "ids": ["write-002", "write-001"] });
        let refused = refusal(put_status(&client, &taken, illegal).await);
        assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
        assert!(refused.message.contains("Spawning"), "{}", refused.message);
        let gone = put_status(&client, &taken, Value::Null).await;
        assert_eq!(code_and_reason(gone).0, 422);
    })
    .unwrap();
}

#[test]
fn the_spec_is_checked_with_a_sentence() {
    simulate(1, |cluster| async move {
        let mut object = worker("w");
        object["spec"]["connection"] = json!({ "port": 70000 });
        let refused = refusal(create(&workers(&cluster), object).await);
        assert!(refused.message.contains("less than or equal to 65535"), "{}", refused.message);
        let nameless: Api<kube::core::DynamicObject> = Api::namespaced_with(
            client(&cluster),
            NS,
            &kube::discovery::ApiResource::erase::<DuckWorker>(&()),
        );
        let mut object = worker("w");
        object["spec"] = json!({});
        let refused = refusal(create(&nameless, object).await);
        assert!(refused.message.contains("spec.template: Required value"), "{}", refused.message);
    })
    .unwrap();
}

#[test]
fn a_worker_needs_its_version_to_be_replaced() {
    simulate(1, |cluster| async move {
        let api = workers(&cluster);
        let mut object = fresh(&cluster).await;
        object.spec.drain_timeout_seconds = 1;
        let counted = api.replace("w", &PostParams::default(), &object).await;
        // Whether the field may change is the CRD's affair; if it may, it counts.
        if let Ok(counted) = counted {
            assert_eq!(counted.metadata.generation, Some(2));
        }
        object.meta_mut().resource_version = None;
        let blind = api.replace("w", &PostParams::default(), &object).await;
        assert_eq!(code_and_reason(blind), (422, "Invalid".into()));
    })
    .unwrap();
}

#[test]
fn labels_do_not_count_and_deletion_does() {
    simulate(1, |cluster| async move {
        let api = workers(&cluster);
        fresh(&cluster).await;
        let patch = Patch::Merge(json!({ "metadata": {
            "labels": { "a": "b" }, "finalizers": ["duckworker.dev/cleanup"]
        } }));
        let labelled = api.patch("w", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(labelled.metadata.generation, Some(1));
        let going = api.delete("w", &DeleteParams::default()).await.unwrap().left().unwrap();
        assert_eq!(going.metadata.generation, Some(2));
        assert_eq!(going.metadata.deletion_grace_period_seconds, Some(0));
    })
    .unwrap();
}

#[test]
fn the_server_vouches_for_its_users() {
    simulate(1, |cluster| async move {
        let user = User::in_pod("duck", "controller", "controller-0", "uid-0");
        let api: Api<SelfSubjectReview> = Api::all(cluster.client(user, &Faults::none()));
        let review =
            api.create(&PostParams::default(), &SelfSubjectReview::default()).await.unwrap();
        let info = review.status.unwrap().user_info.unwrap();
        assert_eq!(info.username.as_deref(), Some("system:serviceaccount:duck:controller"));
        let pod = &info.extra.unwrap()["authentication.kubernetes.io/pod-name"];
        assert_eq!(pod, &["controller-0".to_owned()]);
    })
    .unwrap();
}
