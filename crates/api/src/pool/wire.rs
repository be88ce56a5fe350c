//! The border outwards: a decided status becomes the body of a write, a template becomes a worker.

use duckworker_core::pool::{Counts, Ordinal, Pool, PoolStatus};
use duckworker_core::{Fingerprint, Image};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use serde_json::{Map, Value, json};

use super::{DuckWorkerPool, DuckWorkerPoolStatus, Ordinals, Seat, WorkerCounts, WorkerTemplate};
use crate::labels;
use crate::wire::condition_of;

/// How long a finished worker of a pool stays readable, in seconds, unless the template says.
pub const FINISHED_TTL: i64 = 300;

/// The wire form of a status, based on the one that is stored.
pub fn status(new: &PoolStatus, stored: &DuckWorkerPool) -> DuckWorkerPoolStatus {
    let name = stored.metadata.name.as_deref().unwrap_or_default();
    DuckWorkerPoolStatus {
        observed_generation: new.observed_generation,
        replicas: number(new.counts.warm()),
        updated_replicas: number(new.counts.updated),
        selector: Some(format!("{}={name}", labels::POOL_NAME)),
        workers: counts(&new.counts),
        ordinals: Ordinals {
            next: new.seats.next.get(),
            taken: new
                .seats
                .taken
                .iter()
                .map(|(ordinal, uid)| Seat {
                    ordinal: ordinal.get(),
                    uid: uid.as_ref().map(ToString::to_string),
                })
                .collect(),
        },
        conditions: new.conditions.iter().map(condition_of).collect(),
        foreign: stored.status.as_ref().map(|status| status.foreign.clone()).unwrap_or_default(),
    }
}

fn counts(counts: &Counts) -> WorkerCounts {
    WorkerCounts {
        starting: number(counts.pending + counts.spawning),
        claimed: number(counts.claimed()),
        pending: number(counts.pending),
        spawning: number(counts.spawning),
        idle: number(counts.idle),
        reserved: number(counts.reserved),
        activating: number(counts.activating),
        hot: number(counts.hot),
        hot_idle: number(counts.hot_idle),
        draining: number(counts.draining),
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The worker of one ordinal: the template as it was written, so that fields newer than our types
/// reach it; the pool's reference; and the finalizer, which saves the controller a write. For a
/// tenant that is pinned to a version, it has that image.
pub fn worker(
    pool: &Pool,
    object: &DuckWorkerPool,
    ordinal: Ordinal,
    image: Option<&Image>,
) -> Value {
    let pinned = image.map(|image| object.spec.template.with_image(image.as_str()));
    let template = pinned.as_ref().unwrap_or(&object.spec.template).as_json();
    let made_of = pinned.as_ref().map_or_else(|| pool.terms.template.clone(), fingerprint);
    let mut spec = template.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    spec.entry("ttlSecondsAfterFinished").or_insert_with(|| json!(FINISHED_TTL));
    let map = |field: &str| {
        let written = template.pointer(&format!("/metadata/{field}")).and_then(Value::as_object);
        written.cloned().unwrap_or_default()
    };
    let mut marks: Map<String, Value> = map("labels");
    marks.insert(labels::POOL_NAME.to_owned(), json!(pool.key.name));
    marks.insert(labels::TEMPLATE.to_owned(), json!(made_of.as_str()));
    json!({
        "apiVersion": "duckworker.dev/v1alpha1",
        "kind": "DuckWorker",
        "metadata": {
            "name": pool.key.worker_name(ordinal),
            "namespace": pool.key.namespace,
            "labels": marks,
            "annotations": map("annotations"),
            "finalizers": [labels::FINALIZER],
            "ownerReferences": [owner_reference(pool)],
        },
        "spec": spec,
    })
}

/// What the workers of another version are told by: those that the pool would make for it now.
pub fn made_of(object: &DuckWorkerPool, image: &Image) -> Fingerprint {
    fingerprint(&object.spec.template.with_image(image.as_str()))
}

/// What tells a template. Maps of JSON are sorted by their keys: the same template always reads the
/// same.
pub(super) fn fingerprint(template: &WorkerTemplate) -> Fingerprint {
    Fingerprint::of(template.as_json().to_string().as_bytes())
}

/// The reference of a worker to its pool: what says whose it is.
pub(super) fn owner_reference(pool: &Pool) -> OwnerReference {
    OwnerReference {
        api_version: DuckWorkerPool::api_version(&()).into_owned(),
        kind: DuckWorkerPool::kind(&()).into_owned(),
        name: pool.key.name.clone(),
        uid: pool.key.uid.to_string(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
