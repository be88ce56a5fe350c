//! A pod as the plans read it.

use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::Resource;
use kube::core::ObjectMeta;
use serde::Deserialize;

use crate::decode::lean_metadata;
use crate::labels::{
    BUSY, DUCKDB_CONTAINER, SAFE_TO_EVICT, SECRET_UID_ENV, UID_ENV, WORKER_NAME, WORKER_UID,
};

/// The conditions that somebody reads.
const READ: [&str; 3] = ["Ready", "PodScheduled", "DisruptionTarget"];

/// A pod of a worker, and no more of it than is read: a cache holds thousands, and Kubernetes' own
/// type takes some ten kilobytes for each. It is read only, never written back.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Resource)]
#[resource(inherit = "Pod")]
pub struct WorkerPod {
    /// Its metadata, without its managed fields.
    #[serde(default, deserialize_with = "lean_metadata")]
    pub metadata: ObjectMeta,
    /// What was asked for.
    #[serde(default)]
    pub spec: PodSpec,
    /// How it is.
    #[serde(default)]
    pub status: Option<PodStatus>,
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
        // They can be forged and stripped: `owned` says whose it is.
        self.metadata.owner_references = None;
        if let Some(labels) = self.metadata.labels.as_mut() {
            labels.retain(|name, _| [WORKER_NAME, WORKER_UID, BUSY].contains(&name.as_str()));
        }
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
            status.conditions.retain(|condition| READ.contains(&condition.type_.as_str()));
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
                "labels": { "a": "b", WORKER_NAME: "w1", WORKER_UID: "u-1", BUSY: "true" },
                "annotations": { SAFE_TO_EVICT: "true", "other": "long" },
                "ownerReferences": [
                    { "apiVersion": "v", "kind": "K", "name": "o", "uid": "u-2" },
                ],
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
                "conditions": [
                    { "type": "Ready", "status": "True", "lastProbeTime": null },
                    { "type": "PodScheduled", "status": "False", "message": "m" },
                    { "type": "Initialized", "status": "True" },
                    { "type": "DisruptionTarget", "status": "True", "reason": "r" },
                ],
                "containerStatuses": [{ "name": DUCKDB_CONTAINER, "state": { "running": {} } }],
            },
        }))
        .unwrap();
        let mut whole = pod.clone();
        pod.trim();
        whole.status.as_mut().unwrap().conditions.retain(|c| c.type_ != "Initialized");
        assert_eq!(pod.status, whole.status);
        assert_eq!(pod.spec.node_name, whole.spec.node_name);
        let labels: Vec<_> =
            pod.metadata.labels.iter().flatten().map(|(name, _)| &**name).collect();
        assert_eq!(labels, [BUSY, WORKER_NAME, WORKER_UID]);
        assert_eq!(pod.metadata.annotations.as_ref().unwrap().len(), 1);
        assert_eq!(pod.metadata.owner_references, None);
        assert_eq!(
            (pod.variable(UID_ENV), pod.variable(SECRET_UID_ENV)),
            (Some("u-1"), Some("u-2"))
        );
        assert_eq!((pod.variable("OTHER"), pod.spec.containers.len()), (None, 1));
    }

    #[test]
    fn it_is_asked_for_as_a_pod() {
        assert_eq!(WorkerPod::url_path(&(), Some("data")), "/api/v1/namespaces/data/pods");
    }
}
