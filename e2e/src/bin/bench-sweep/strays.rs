//! Secrets and pods of workers that are not there.

use std::time::{Duration, Instant};

use anyhow::Result;
use duckworker_api::labels::{
    DUCKDB_CONTAINER, SECRET_SUFFIX, UID_ENV, UID_KEY, WORKER_NAME, WORKER_UID,
};
use duckworker_e2e::bench::CONCURRENCY;
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::{TestNamespace, await_list, pod_is_ready};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Span;

/// Between two looks whether something is left.
const PERIOD: Duration = Duration::from_millis(100);

/// What is left behind in a namespace.
pub struct Strays<'a> {
    /// Where it is.
    pub namespace: TestNamespace<'a>,
    secrets: Vec<(String, Option<String>)>,
    pods: Vec<(String, Option<String>)>,
}

impl<'a> Strays<'a> {
    /// Makes so many secrets and pods, and waits until the pods run.
    pub async fn make(namespace: TestNamespace<'a>, secrets: usize, pods: usize) -> Result<Self> {
        let creations = (0..secrets).map(|number| namespace.create::<Secret>(secret(number)));
        let secrets: Vec<Secret> =
            stream::iter(creations).buffer_unordered(CONCURRENCY).try_collect().await?;
        // Pods without a secret: none waits for the other.
        let numbers = 1_000_000..1_000_000 + pods;
        let creations = numbers.map(|number| namespace.create::<Pod>(pod(number)));
        let pods: Vec<Pod> =
            stream::iter(creations).buffer_unordered(CONCURRENCY).try_collect().await?;
        let all_ready = |seen: &[Pod]| seen.len() == pods.len() && seen.iter().all(pod_is_ready);
        let all = watcher::Config::default();
        await_list(&namespace.api::<Pod>(), &all, "running", all_ready).await?;
        let identities =
            (secrets.iter().map(identity).collect(), pods.iter().map(identity).collect());
        Ok(Self { namespace, secrets: identities.0, pods: identities.1 })
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.secrets.len() + self.pods.len()
    }

    /// A plain client deletes them by their uids, pods first.
    pub async fn delete(&self, ground: &Ground) -> Result<Span> {
        let (client, name) = (ground.client()?, &self.namespace.name);
        let begun = Instant::now();
        delete::<Pod>(&Api::namespaced(client.clone(), name), &self.pods, Some(30)).await?;
        delete::<Secret>(&Api::namespaced(client, name), &self.secrets, None).await?;
        let span = Span::of(begun);
        self.gone().await?;
        Ok(span)
    }

    /// Waits until nothing is left.
    pub async fn gone(&self) -> Result<()> {
        let one = ListParams::default().limit(1).labels(WORKER_UID);
        loop {
            let pods = self.namespace.api::<Pod>().list_metadata(&one).await?;
            let secrets = self.namespace.api::<Secret>().list_metadata(&one).await?;
            if pods.items.is_empty() && secrets.items.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(PERIOD).await;
        }
    }
}

async fn delete<K>(api: &Api<K>, all: &[(String, Option<String>)], grace: Option<u32>) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let deletions = all.iter().map(|(name, uid)| async move {
        let preconditions = Preconditions { uid: uid.clone(), ..Preconditions::default() };
        let params = DeleteParams {
            grace_period_seconds: grace,
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        api.delete(name, &params).await.map(drop)
    });
    stream::iter(deletions).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    Ok(())
}

fn identity<K: ResourceExt>(object: &K) -> (String, Option<String>) {
    (object.name_any(), object.uid())
}

fn uid(number: usize) -> String {
    format!("00000000-0000-0000-0000-{number:012x}")
}

fn secret(number: usize) -> Value {
    let (name, uid) = (format!("left-{number}"), uid(number));
    json!({
        "metadata": { "name": format!("{name}{SECRET_SUFFIX}"),
            "labels": { WORKER_NAME: name, WORKER_UID: uid } },
        "stringData": { UID_KEY: uid, "bearer-token": "x".repeat(64) },
        "immutable": true,
    })
}

fn pod(number: usize) -> Value {
    let (name, uid) = (format!("left-{number}"), uid(number));
    json!({
        "metadata": { "name": name, "labels": { WORKER_NAME: name, WORKER_UID: uid } },
        "spec": { "terminationGracePeriodSeconds": 1, "containers": [{
            "name": DUCKDB_CONTAINER, "image": "example.invalid/duckdb:1",
            "env": [{ "name": UID_ENV, "value": uid }],
        }] },
    })
}
