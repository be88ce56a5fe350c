//! What the tests share.
#![allow(dead_code, reason = "each test file uses its part")]

use duckworker_api::DuckWorker;
use duckworker_faults::Faults;
use duckworker_sim::{SimCluster, User};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, PostParams};
use kube::core::Status;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub const NS: &str = "default";

pub fn client(cluster: &SimCluster) -> kube::Client {
    cluster.client(User::named("tester"), &Faults::none())
}

pub fn config_maps(cluster: &SimCluster) -> Api<ConfigMap> {
    Api::namespaced(client(cluster), NS)
}

pub fn secrets(cluster: &SimCluster) -> Api<Secret> {
    Api::namespaced(client(cluster), NS)
}

pub fn pods(cluster: &SimCluster) -> Api<Pod> {
    Api::namespaced(client(cluster), NS)
}

pub fn workers(cluster: &SimCluster) -> Api<DuckWorker> {
    Api::namespaced(client(cluster), NS)
}

pub async fn create<K>(api: &Api<K>, object: Value) -> kube::Result<K>
where
    K: Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await
}

pub fn config_map(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "data": { "k": "v" } })
}

pub fn worker(name: &str) -> Value {
    json!({
        "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker",
        "metadata": { "name": name },
        "spec": { "template": { "spec": { "containers": [{ "name": "duckdb", "image": "duck:1" }] } } }
    })
}

pub fn pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "c", "image": "i" }] }
    })
}

pub fn owned_by(mut child: Value, owner: &Value, blocks: bool) -> Value {
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": blocks,
    }]);
    child
}

/// The refusal in an answer.
pub fn refusal<T: std::fmt::Debug>(answer: kube::Result<T>) -> Box<Status> {
    match answer {
        Err(kube::Error::Api(status)) => status,
        other => panic!("no refusal: {other:?}"),
    }
}

pub fn code_and_reason<T: std::fmt::Debug>(answer: kube::Result<T>) -> (u16, String) {
    let status = refusal(answer);
    (status.code, status.reason.clone())
}

pub fn seconds(seconds: u64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds)
}
