//! From a worker's template to its pod.

use std::collections::BTreeMap;

use duckworker_api::pool::parse::pool_of;
use duckworker_api::{DuckWorker, labels, parse};
use duckworker_core::{Uid, WorkerKey};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::json::{Object, where_silent};
use super::{BuildError, identity, pod_access, pod_security};

/// Builds the pod of a worker: its template; its uid and its secret's, token, certificate and port; a life that is
/// never restarted in place; and what the restricted Pod Security profile asks for.
///
/// It works on the template's JSON, so that fields newer than our types reach the API server;
/// hence the untyped result, which is created through an `Api<DynamicObject>` of [`resource`].
///
/// The template must be whole: a worker from a cache that trims it has lost what to build.
///
/// # Errors
/// [`BuildError`] says what in the template is in the way.
pub fn build(worker: &DuckWorker, secret: &Uid) -> Result<DynamicObject, BuildError> {
    let key = parse::key(worker)?;
    let template = worker.spec.template.as_json();
    let mut spec = match template.get("spec") {
        Some(Value::Object(spec)) => spec.clone(),
        Some(_) => return Err(BuildError::Malformed("spec")),
        None => return Err(BuildError::NoContainer),
    };
    pod_access::add(&mut spec, &key, secret, &worker.spec)?;
    pod_security::harden(&mut spec)?;
    limit_life(&mut spec, worker.spec.drain_timeout_seconds);
    let mut pod = DynamicObject::new(&key.name, &resource());
    pod.metadata = metadata(&key, template.get("metadata").unwrap_or(&Value::Null))?;
    if let Some(pool) = pool_of(&worker.metadata) {
        // By it a pool's selector, budgets and network policies find the pod.
        pod.metadata.labels.get_or_insert_default().insert(labels::POOL_NAME.to_owned(), pool.name);
    }
    pod.data = json!({ "spec": spec });
    Ok(pod)
}

/// What a pod is to an untyped client.
pub fn resource() -> ApiResource {
    ApiResource::erase::<Pod>(&())
}

/// A sentence for the condition `GraceShortened`, when the template gives the worker less time
/// to end than `drainTimeoutSeconds` does: whoever deletes the pod behind our back cuts it short.
pub fn shortened_grace(worker: &DuckWorker) -> Option<String> {
    let wanted = worker.spec.drain_timeout_seconds;
    let grace = worker.spec.template.as_json();
    let grace = grace.pointer("/spec/terminationGracePeriodSeconds")?.as_i64()?;
    (grace < wanted).then(|| {
        format!(
            "spec.template.spec.terminationGracePeriodSeconds is {grace}, less than \
             spec.drainTimeoutSeconds ({wanted}): an eviction cuts the worker's sessions short; \
             remove it from the template"
        )
    })
}

/// A worker is never restarted in place, talks to no API server, and has the time to drain even
/// when an eviction or a foreground deletion kills its pod behind our back.
fn limit_life(spec: &mut Object, drain_timeout_seconds: i64) {
    spec.insert("restartPolicy".to_owned(), json!("Never"));
    spec.insert("automountServiceAccountToken".to_owned(), json!(false));
    where_silent(spec, "terminationGracePeriodSeconds", drain_timeout_seconds);
}

/// The template's labels, annotations and finalizers, as a `ReplicaSet` takes them; our labels win.
fn metadata(worker: &WorkerKey, template: &Value) -> Result<ObjectMeta, BuildError> {
    let mut meta = identity::metadata(worker, worker.name.clone());
    let ours = meta.labels.take().unwrap_or_default();
    let mut labels: BTreeMap<String, String> =
        member(template, "labels", "metadata.labels")?.unwrap_or_default();
    labels.extend(ours);
    meta.labels = Some(labels);
    meta.annotations = member(template, "annotations", "metadata.annotations")?;
    meta.finalizers = member(template, "finalizers", "metadata.finalizers")?;
    Ok(meta)
}

fn member<T: DeserializeOwned>(
    template: &Value,
    key: &str,
    path: &'static str,
) -> Result<Option<T>, BuildError> {
    let value = template.get(key).unwrap_or(&Value::Null);
    Option::<T>::deserialize(value).map_err(|_| BuildError::Malformed(path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::children::pod_fixtures::{self, UID, pod_of, worker_of};

    #[test]
    fn the_pod_is_named_and_owned_and_labelled() {
        let worker = worker_of(json!({
            "metadata": { "labels": { "team": "a", labels::WORKER_UID: "forged" },
                          "annotations": { "note": "b" } },
            "spec": { "containers": [{ "name": "duckdb", "image": "duck:1" }] }
        }));
        let pod = pod_of(&worker);
        let meta = &pod["metadata"];
        assert_eq!(pod["kind"], "Pod");
        assert_eq!(pod["apiVersion"], "v1");
        assert_eq!(meta["name"], "w1");
        assert_eq!(meta["namespace"], "data");
        assert_eq!(meta["annotations"], json!({ "note": "b" }));
        assert_eq!(
            meta["labels"],
            json!({ "team": "a", labels::WORKER_NAME: "w1", labels::WORKER_UID: UID })
        );
        assert_eq!(
            meta["ownerReferences"],
            json!([{ "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker", "name": "w1",
                     "uid": UID, "controller": true, "blockOwnerDeletion": true }])
        );
    }

    #[test]
    fn a_worker_is_never_restarted_and_gets_no_service_account() {
        let worker = worker_of(json!({ "spec": {
            "restartPolicy": "Always",
            "automountServiceAccountToken": true,
            "containers": [{ "name": "duckdb", "image": "duck:1" }]
        }}));
        let pod = pod_of(&worker);
        assert_eq!(pod["spec"]["restartPolicy"], "Never");
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
        assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 900);
        assert_eq!(shortened_grace(&worker), None);
    }

    #[test]
    fn a_shorter_grace_is_kept_and_told() {
        let worker = worker_of(json!({ "spec": {
            "terminationGracePeriodSeconds": 30,
            "containers": [{ "name": "duckdb", "image": "duck:1" }]
        }}));
        assert_eq!(pod_of(&worker)["spec"]["terminationGracePeriodSeconds"], 30);
        let sentence = shortened_grace(&worker).unwrap();
        assert!(sentence.contains("is 30, less than") && sentence.contains("(900)"), "{sentence}");
    }

    #[test]
    fn fields_newer_than_our_types_reach_the_pod() {
        let worker = worker_of(json!({ "spec": {
            "fieldOfTomorrow": { "a": [1, 2] },
            "containers": [{ "name": "duckdb", "image": "duck:1", "alsoNew": "x" }]
        }}));
        let pod = pod_of(&worker);
        assert_eq!(pod["spec"]["fieldOfTomorrow"], json!({ "a": [1, 2] }));
        assert_eq!(pod["spec"]["containers"][0]["alsoNew"], "x");
    }

    #[test]
    fn the_pod_is_one_that_the_api_server_can_read() {
        let worker = worker_of(json!({ "spec": {
            "initContainers": [{ "name": "init", "image": "i:1" }],
            "containers": [{ "name": "side", "image": "s:1" }, { "name": "duckdb", "image": "d:1" }]
        }}));
        let typed: Pod = serde_json::from_value(pod_of(&worker)).unwrap();
        assert_eq!(typed.spec.unwrap().containers.len(), 2);
    }

    #[test]
    fn what_cannot_be_built_says_why() {
        let sentence =
            |template| pod_fixtures::build(&worker_of(template)).unwrap_err().to_string();
        assert!(sentence(json!({})).contains("no container named \"duckdb\""));
        let no_duckdb = json!({ "spec": { "containers": [{ "name": "x", "image": "d:1" }] } });
        assert!(sentence(no_duckdb).contains("no container named \"duckdb\""));
        let malformed = json!({ "spec": { "securityContext": 5,
            "containers": [{ "name": "duckdb", "image": "d:1" }] } });
        assert!(sentence(malformed).contains("securityContext"));
        let mut unstored = worker_of(json!({ "spec": { "containers": [] } }));
        unstored.metadata.uid = None;
        assert!(pod_fixtures::build(&unstored).unwrap_err().to_string().contains("metadata.uid"));
    }
}
