//! Pools in tests: manifests, and what is awaited of them and of their workers.

use anyhow::{Context as _, Result};
use duckworker_api::{DuckWorker, DuckWorkerPool};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use serde_json::{Value, json};

use crate::worker::{plain, state};
use crate::{TestNamespace, await_list};

/// A pool of workers that a simulated node runs, of this size.
pub fn pool(name: &str, replicas: i64, max_workers: i64) -> Value {
    json!({
        "apiVersion": "duckworker.dev/v1alpha1",
        "kind": "DuckWorkerPool",
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "maxWorkers": max_workers,
            "template": { "spec": plain("x")["spec"] },
        }
    })
}

/// The annotations of its pods: how the simulated node plays them.
pub fn with_annotations(mut pool: Value, annotations: &Value) -> Value {
    pool["spec"]["template"]["spec"]["template"]["metadata"] =
        json!({ "annotations": annotations });
    pool
}

/// Changes a pool by a merge patch.
///
/// # Errors
/// When the API server refuses.
pub async fn change(ns: &TestNamespace<'_>, name: &str, patch: Value) -> Result<DuckWorkerPool> {
    let api = ns.api::<DuckWorkerPool>();
    Ok(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
}

/// The image of its container `duckdb`, as a merge patch.
pub fn image(image: &str) -> Value {
    let containers = json!([{ "name": "duckdb", "image": image }]);
    json!({ "spec": { "template": { "spec": { "template": { "spec": { "containers": containers } } } } } })
}

/// The selection of a pool's workers.
pub fn workers_of(pool: &str) -> watcher::Config {
    watcher::Config::default().labels(&format!("duckworker.dev/pool={pool}"))
}

/// How many of these are in this state.
pub fn count(workers: &[DuckWorker], wanted: &str) -> usize {
    workers.iter().filter(|worker| state(worker) == wanted).count()
}

/// Waits until so many workers of a pool are in this state.
///
/// # Errors
/// What is there after a minute.
pub async fn await_count(
    ns: &TestNamespace<'_>,
    pool: &str,
    wanted: &str,
    number: usize,
) -> Result<Vec<DuckWorker>> {
    let what = format!("{number} {wanted}");
    let fits = |workers: &[DuckWorker]| count(workers, wanted) == number;
    await_list(&ns.api(), &workers_of(pool), &what, fits).await
}

/// The workers of a pool now.
///
/// # Errors
/// When the API server does not answer.
pub async fn workers(ns: &TestNamespace<'_>, pool: &str) -> Result<Vec<DuckWorker>> {
    let selected = ListParams::default().labels(&format!("duckworker.dev/pool={pool}"));
    Ok(ns.api::<DuckWorker>().list(&selected).await?.items)
}

/// Creates a worker like another of its pool, as a leader does that slept for long.
///
/// # Errors
/// When the API server refuses.
pub async fn late_creation(
    ns: &TestNamespace<'_>,
    like: &DuckWorker,
    name: &str,
) -> Result<DuckWorker> {
    let mut late = like.clone();
    late.metadata.name = Some(name.to_owned());
    late.metadata.uid = None;
    late.metadata.resource_version = None;
    late.status = None;
    Ok(ns.api().create(&PostParams::default(), &late).await?)
}

/// One of a pool's conditions.
pub fn condition<'a>(pool: &'a DuckWorkerPool, kind: &str) -> Option<&'a Condition> {
    pool.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// A predicate: this condition has this status and this reason, for the present spec.
pub fn says(
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
) -> impl Fn(&DuckWorkerPool) -> bool {
    move |pool| {
        condition(pool, kind).is_some_and(|c| {
            c.status == status
                && c.reason == reason
                && c.observed_generation == pool.metadata.generation
        })
    }
}

/// A predicate: its status counts so many idle workers, and was written for the present spec.
pub fn counts_idle(number: i64) -> impl Fn(&DuckWorkerPool) -> bool {
    move |pool| {
        pool.status.as_ref().is_some_and(|status| {
            status.workers.idle == number && status.observed_generation == pool.metadata.generation
        })
    }
}

/// The image of a worker's container `duckdb`.
///
/// # Errors
/// When it has none.
pub fn image_of(worker: &DuckWorker) -> Result<&str> {
    worker.spec.template.image().with_context(|| format!("{} has no image", worker.name_any()))
}
