//! The lists that a controller begins with, made by a plain client and decoded.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::Result;
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool, labels};
use duckworker_e2e::bench::ground::{Ground, SYSTEM};
use futures::try_join;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, ObjectList, PartialObjectMeta};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

/// How many objects an answer holds: as the library's watches ask.
const PAGE: u32 = 500;

/// How long all of them take, at the same time, and how many objects there are.
pub async fn time(ground: &Ground, namespace: &str) -> Result<(Duration, usize)> {
    let client = ground.client()?;
    let begun = Instant::now();
    let ours = ListParams::default().labels(labels::WORKER_UID);
    let others = ListParams::default().labels(&format!("!{}", labels::WORKER_UID));
    let all = ListParams::default();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let (workers, pods, secrets, strangers, ..) = try_join!(
        objects::<DuckWorker>(&client, namespace, &all),
        objects::<Pod>(&client, namespace, &ours),
        metadata(&secrets, &ours),
        metadata(&secrets, &others),
        objects::<DuckWorkerPool>(&client, namespace, &all),
        objects::<DuckWorkerClaim>(&client, namespace, &all),
        objects::<DuckTenant>(&client, namespace, &all),
        objects::<PodDisruptionBudget>(&client, namespace, &all),
        objects::<Lease>(&client, SYSTEM, &all),
        pages(async |params| Api::<Node>::all(client.clone()).list(&params).await, &all),
    )?;
    Ok((begun.elapsed(), workers + pods + secrets + strangers))
}

async fn objects<K>(client: &Client, namespace: &str, params: &ListParams) -> Result<usize>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    pages(async |params| api.list(&params).await, params).await
}

async fn metadata(api: &Api<Secret>, params: &ListParams) -> Result<usize> {
    let page = async |params: ListParams| -> kube::Result<ObjectList<PartialObjectMeta<Secret>>> {
        api.list_metadata(&params).await
    };
    pages(page, params).await
}

async fn pages<K: Clone>(
    list: impl AsyncFn(ListParams) -> kube::Result<ObjectList<K>>,
    params: &ListParams,
) -> Result<usize> {
    let mut params = params.clone().limit(PAGE);
    // They are kept, as a cache keeps them.
    let mut kept = Vec::new();
    loop {
        let page = list(params.clone()).await?;
        kept.extend(page.items);
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => return Ok(kept.len()),
        }
    }
}
