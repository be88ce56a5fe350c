//! A pod as the plans read it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerState, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::core::ObjectMeta;
use serde::{Deserialize, Deserializer};

use crate::labels::{DUCKDB_CONTAINER, SAFE_TO_EVICT, SECRET_UID_ENV, UID_ENV};

/// A pod of a worker, and no more of it than is read: a cache holds thousands, and Kubernetes' own
/// type takes some ten kilobytes for each. It is read only, never written back.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Resource)]
#[resource(inherit = "Pod")]
pub struct WorkerPod {
    /// Its metadata, without what nobody reads: managed fields and owners.
    #[serde(default, deserialize_with = "lean_metadata")]
    pub metadata: ObjectMeta,
    /// What was asked for.
    #[serde(default)]
    pub spec: PodSpec,
    /// How it is.
    #[serde(default)]
    pub status: Option<PodStatus>,
}

/// The managed fields of a pod are twice as large as the rest of it. Its owner references can be forged
/// and stripped: [`crate::owned`] says whose it is.
fn lean_metadata<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
        deletion_grace_period_seconds: Option<i64>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<BTreeMap<String, String>>,
        finalizers: Option<Vec<String>>,
    }
    let meta = Meta::deserialize(from)?;
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        deletion_grace_period_seconds: meta.deletion_grace_period_seconds,
        labels: meta.labels,
        annotations: meta.annotations,
        finalizers: meta.finalizers,
        ..ObjectMeta::default()
    })
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Its node, once it has one.
    pub node_name: Option<String>,
    /// Its containers.
    pub containers: Vec<Container>,
}

/// A container as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its environment, which cannot be changed once the pod exists.
    #[serde(default)]
    pub env: Vec<Variable>,
}

/// A variable of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, unless it comes from elsewhere.
    #[serde(default)]
    pub value: Option<String>,
}

/// How a pod is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: Option<String>,
    /// Its address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// Why it is so, in a word.
    pub reason: Option<String>,
    /// Why it is so, in a sentence.
    pub message: Option<String>,
    /// Its conditions.
    pub conditions: Vec<PodCondition>,
    /// Its init containers.
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Its containers.
    pub container_statuses: Vec<ContainerStatus>,
}

/// A condition of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PodCondition {
    /// Which.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in a word.
    #[serde(default)]
    pub reason: Option<String>,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: Option<String>,
}

/// How a container is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// Waiting, running or ended.
    #[serde(default)]
    pub state: Option<ContainerState>,
}

impl WorkerPod {
    /// The value of a variable of the container `duckdb`.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let duckdb = self.spec.containers.iter().find(|c| c.name == DUCKDB_CONTAINER)?;
        duckdb.env.iter().find(|variable| variable.name == name)?.value.as_deref()
    }

    /// Drops what a cache does not need, and the room that reading took.
    pub fn trim(&mut self) {
        if let Some(annotations) = self.metadata.annotations.as_mut() {
            annotations.retain(|name, _| name == SAFE_TO_EVICT);
        }
        let containers = &mut self.spec.containers;
        containers.retain(|container| container.name == DUCKDB_CONTAINER);
        containers.shrink_to_fit();
        for container in containers {
            container.env.retain(|v| [UID_ENV, SECRET_UID_ENV].contains(&v.name.as_str()));
            container.env.shrink_to_fit();
        }
        if let Some(status) = self.status.as_mut() {
            status.conditions.shrink_to_fit();
            status.init_container_statuses.shrink_to_fit();
            status.container_statuses.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_outlives_the_trimming() {
        let mut pod: WorkerPod = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "w1",
                "labels": { "a": "b" },
                "annotations": { SAFE_TO_EVICT: "true", "other": "long" },
            },
            "spec": { "nodeName": "n", "volumes": [{ "name": "v" }], "containers": [
                { "name": "side", "env": [{ "name": UID_ENV, "value": "forged" }] },
                { "name": DUCKDB_CONTAINER, "image": "i", "env": [
                    { "name": "OTHER", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
                    { "name": UID_ENV, "value": "u-1" },
                    { "name": SECRET_UID_ENV, "value": "u-2" },
                ] },
            ] },
            "status": {
                "phase": "Running", "podIP": "10.0.0.7",
                "conditions": [{ "type": "Ready", "status": "True", "lastProbeTime": null }],
                "containerStatuses": [{ "name": DUCKDB_CONTAINER, "state": { "running": {} } }],
            },
        }))
        .unwrap();
        let whole = pod.clone();
        pod.trim();
        assert_eq!(pod.status, whole.status);
        assert_eq!(pod.spec.node_name, whole.spec.node_name);
        assert_eq!(pod.metadata.labels, whole.metadata.labels);
        assert_eq!(pod.metadata.annotations.as_ref().unwrap().len(), 1);
        assert_eq!(
            (pod.variable(UID_ENV), pod.variable(SECRET_UID_ENV)),
            (Some("u-1"), Some("u-2"))
        );
        assert_eq!((pod.variable("OTHER"), pod.spec.containers.len()), (None, 1));
    }

    #[test]
    fn of_its_metadata_all_is_read_but_managed_fields_and_owners() {
        let metadata = json!({
            "name": "w1", "namespace": "data", "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-01T00:00:01Z",
            "deletionGracePeriodSeconds": 30, "labels": { "a": "b" }, "annotations": { "c": "d" },
            "finalizers": ["f"],
        });
        let known: ObjectMeta = serde_json::from_value(metadata.clone()).unwrap();
        let mut pod = json!({ "metadata": metadata });
        pod["metadata"]["managedFields"] =
            json!([{ "manager": "m", "fieldsV1": { "f:spec": {} } }]);
        pod["metadata"]["ownerReferences"] =
            json!([{ "apiVersion": "v", "kind": "K", "name": "o", "uid": "u-2" }]);
        assert_eq!(serde_json::from_value::<WorkerPod>(pod).unwrap().metadata, known);
    }

    #[test]
    fn it_is_asked_for_as_a_pod() {
        assert_eq!(WorkerPod::url_path(&(), Some("data")), "/api/v1/namespaces/data/pods");
    }
}
