//! Names, labels and owner references of a worker's objects.

use std::collections::BTreeMap;

use duckworker_api::{DuckWorker, labels};
use duckworker_core::WorkerKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

/// The name of a worker's secret.
pub fn secret_name(worker: &str) -> String {
    format!("{worker}{}", labels::SECRET_SUFFIX)
}

/// The labels by which a worker's objects are found. An index, never authority.
pub fn index_labels(worker: &WorkerKey) -> BTreeMap<String, String> {
    BTreeMap::from([
        (labels::WORKER_NAME.to_owned(), worker.name.clone()),
        (labels::WORKER_UID.to_owned(), worker.uid.to_string()),
    ])
}

/// The reference of an object to its worker.
///
/// It blocks the owner's deletion, so that a foreground delete has one order only: without it the
/// garbage collector may let the worker go before it has looked at the pod. Any order is safe
/// with our finalizer; this keeps pod and worker together even when somebody removes that by
/// hand. The API server asks for `update` on `duckworkers/finalizers`, which our Role grants.
pub fn owner_reference(worker: &WorkerKey) -> OwnerReference {
    OwnerReference {
        api_version: DuckWorker::api_version(&()).into_owned(),
        kind: DuckWorker::kind(&()).into_owned(),
        name: worker.name.clone(),
        uid: worker.uid.to_string(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The metadata that a worker's objects have in common.
pub fn metadata(worker: &WorkerKey, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(worker.namespace.clone()),
        labels: Some(index_labels(worker)),
        owner_references: Some(vec![owner_reference(worker)]),
        ..ObjectMeta::default()
    }
}
