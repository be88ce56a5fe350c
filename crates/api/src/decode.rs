//! How an object that a watch tells of is decoded: without the managed fields, which are as large as
//! all the rest, and which no cache keeps.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::core::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::pod::WorkerPod;
use crate::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};

/// A kind that can be read from JSON for a cache.
pub trait Decode: DeserializeOwned {
    /// Reads one object.
    ///
    /// # Errors
    /// When the text is no such object.
    fn decode(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

impl Decode for WorkerPod {}
impl Decode for Lease {}
impl Decode for Node {}
impl Decode for PodDisruptionBudget {}

/// An object of one of our kinds.
#[derive(Deserialize)]
struct Ours<Spec, Status> {
    #[serde(default, deserialize_with = "lean_metadata")]
    metadata: ObjectMeta,
    spec: Spec,
    #[serde(default = "Option::default")]
    status: Option<Status>,
}

macro_rules! decode_ours {
    ($($kind:ident),+) => {$(
        impl Decode for $kind {
            fn decode(text: &str) -> serde_json::Result<Self> {
                let Ours { metadata, spec, status } = serde_json::from_str(text)?;
                Ok(Self { metadata, spec, status })
            }
        }
    )+};
}

decode_ours!(DuckWorker, DuckWorkerPool, DuckWorkerClaim, DuckTenant);

/// An object's metadata without its managed fields.
pub(crate) fn lean_metadata<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
        deletion_grace_period_seconds: Option<i64>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<BTreeMap<String, String>>,
        owner_references: Option<Vec<OwnerReference>>,
        finalizers: Option<Vec<String>>,
    }
    let meta = Meta::deserialize(from)?;
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        generation: meta.generation,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        deletion_grace_period_seconds: meta.deletion_grace_period_seconds,
        labels: meta.labels,
        annotations: meta.annotations,
        owner_references: meta.owner_references,
        finalizers: meta.finalizers,
        ..ObjectMeta::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_is_read_but_the_managed_fields() {
        let mut worker = json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker",
            "metadata": {
                "name": "w1", "namespace": "data", "uid": "u", "resourceVersion": "7",
                "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z",
                "deletionTimestamp": "2026-01-01T00:00:01Z", "deletionGracePeriodSeconds": 30,
                "labels": { "a": "b" }, "annotations": { "c": "d" }, "finalizers": ["f"],
                "ownerReferences": [
                    { "apiVersion": "v", "kind": "K", "name": "o", "uid": "u-2" },
                ],
            },
            "spec": { "template": { "spec": { "containers": [] } } },
            "status": { "state": "Idle", "ownerEpoch": 1 },
        });
        let whole: DuckWorker = serde_json::from_value(worker.clone()).unwrap();
        worker["metadata"]["managedFields"] =
            json!([{ "manager": "m", "fieldsV1": { "f:spec": {} } }]);
        let read = DuckWorker::decode(&worker.to_string()).unwrap();
        assert_eq!(json!(read), json!(whole));
        worker["status"] = json!(null);
        assert!(DuckWorker::decode(&worker.to_string()).unwrap().status.is_none());
    }
}
