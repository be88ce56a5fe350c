//! What the demo shows, in order.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::{Watchable, await_list};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::ListParams;
use kube::runtime::watcher;

use crate::ground::Ground;
use crate::{claim, show, worker};

/// Shows everything; how long the claim took to be bound.
pub async fn run(ground: &mut Ground) -> Result<Duration> {
    // Some clusters put secrets of their own into each namespace.
    let before = Secrets::of(ground).await?;
    worker::run(ground).await?;
    nothing_is_left(ground, &before).await?;
    let took = claim::run(ground).await?;
    nothing_is_left(ground, &before).await?;
    Ok(took)
}

/// The names of all secrets of the demo's namespace.
struct Secrets(BTreeSet<String>);

impl Secrets {
    async fn of(ground: &Ground) -> Result<Self> {
        let list = ground.api::<Secret>().list_metadata(&ListParams::default()).await?;
        Ok(Self(list.items.iter().map(kube::ResourceExt::name_any).collect()))
    }
}

/// Waits until the last object is deleted, then reads once more what there is.
async fn nothing_is_left(ground: &Ground, before: &Secrets) -> Result<()> {
    let ours = |secret: &Secret| !before.0.contains(&secret.name_any());
    await_none::<DuckWorker>(ground).await?;
    await_none::<DuckWorkerClaim>(ground).await?;
    await_none::<DuckWorkerPool>(ground).await?;
    await_none::<Pod>(ground).await?;
    let all = watcher::Config::default();
    await_list(&ground.api::<Secret>(), &all, "deleted", |all| !all.iter().any(ours)).await?;
    let pods = ground.api::<Pod>().list_metadata(&ListParams::default()).await?.items.len();
    let secrets = Secrets::of(ground).await?.0.difference(&before.0).count();
    show::say(&format!("nothing is left: {pods} pods, {secrets} secrets"));
    ensure!(pods == 0 && secrets == 0, "something was left behind");
    Ok(())
}

async fn await_none<K>(ground: &Ground) -> Result<()>
where
    K: Watchable + kube::Resource<Scope = NamespaceResourceScope>,
{
    let all = watcher::Config::default();
    await_list(&ground.api::<K>(), &all, "deleted", <[K]>::is_empty).await?;
    Ok(())
}
