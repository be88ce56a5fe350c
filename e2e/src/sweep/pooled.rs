//! The pool of a run, with room for one worker, so that the calls of its life are those of one
//! worker and not of its successors too; and the claim that takes this worker.

use anyhow::Result;
use duckworker_api::pool::WorkerCounts;
use duckworker_api::{DuckTenant, DuckWorkerClaim, DuckWorkerPool};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::watcher;
use kube::{Resource, ResourceExt as _};
use serde_json::{Value, json};

use crate::pool::{await_count, condition, pool};
use crate::tenant::tenant;
use crate::wait::Watchable;
use crate::{TestNamespace, await_list};

/// The pool.
pub const POOL: &str = "p";
/// The claim.
pub const CLAIM: &str = "c";
/// Whose claim it is.
pub const TENANT: &str = "acme";

/// The pool, whose parked worker outlives any run.
pub fn manifest() -> Value {
    let mut manifest = pool(POOL, 1, 1);
    manifest["spec"]["hotIdle"] = json!({ "ttlSeconds": 3600 });
    manifest
}

/// Makes the pool and waits until its worker is idle.
pub async fn fill(ns: &TestNamespace<'_>) -> Result<()> {
    ns.create::<DuckWorkerPool>(manifest()).await?;
    await_idle(ns).await
}

/// The same, with a tenant that may hold one worker.
pub async fn fill_capped(ns: &TestNamespace<'_>) -> Result<()> {
    ns.create::<DuckTenant>(tenant(TENANT, &json!({ "maxWorkers": 1 }))).await?;
    fill(ns).await?;
    await_ledger(ns, 0).await
}

/// Deletes all objects of a kind.
pub async fn delete<K>(ns: &TestNamespace<'_>) -> Result<()>
where
    K: Watchable + Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
{
    ns.api::<K>().delete_collection(&DeleteParams::background(), &ListParams::default()).await?;
    Ok(())
}

/// Waits until the pool and its worker are as they stay: Idle, guarded by a disruption budget.
pub async fn await_idle(ns: &TestNamespace<'_>) -> Result<()> {
    await_count(ns, POOL, "Idle", 1).await?;
    await_pool(ns, "AsWanted", |workers| workers.idle).await?;
    let all = watcher::Config::default();
    let budgets = ns.api::<PodDisruptionBudget>();
    await_list(&budgets, &all, "there", |all: &[_]| !all.is_empty()).await.map(drop)
}

/// Waits until its worker serves the claim.
pub async fn await_hot(ns: &TestNamespace<'_>) -> Result<()> {
    await_count(ns, POOL, "Hot", 1).await?;
    await_pool(ns, "PoolAtMax", |workers| workers.hot).await?;
    await_ledger(ns, 1).await
}

/// Waits until its worker is parked, and nothing is left of the claim.
pub async fn await_parked(ns: &TestNamespace<'_>) -> Result<()> {
    let all = watcher::Config::default();
    await_list(&ns.api::<DuckWorkerClaim>(), &all, "gone", <[_]>::is_empty).await?;
    await_count(ns, POOL, "HotIdle", 1).await?;
    await_pool(ns, "PoolAtMax", |workers| workers.hot_idle).await?;
    let only_its_own =
        |all: &[Secret]| all.iter().all(|secret| secret.name_any().ends_with("-rpc"));
    await_list(&ns.api(), &all, "the worker's only", only_its_own).await?;
    await_ledger(ns, 1).await
}

/// Waits until the pool's status says that its one worker is counted here, and why it is Ready.
async fn await_pool(
    ns: &TestNamespace<'_>,
    reason: &str,
    counted: impl Fn(&WorkerCounts) -> i64,
) -> Result<()> {
    let settled = |pool: &DuckWorkerPool| {
        let status = pool.status.as_ref();
        status.is_some_and(|status| {
            counted(&status.workers) == 1 && status.observed_generation == pool.metadata.generation
        }) && condition(pool, "Ready").is_some_and(|ready| ready.reason == reason)
    };
    ns.await_object(POOL, reason, settled).await.map(drop)
}

/// Waits until the tenant's ledger, if it has one, holds so many workers.
async fn await_ledger(ns: &TestNamespace<'_>, number: i64) -> Result<()> {
    let settled = |tenants: &[DuckTenant]| {
        tenants.iter().all(|tenant| {
            tenant.status.as_ref().is_some_and(|status| {
                status.used == Some(number)
                    && status.observed_generation == tenant.metadata.generation
            })
        })
    };
    let what = format!("holding {number}");
    await_list(&ns.api(), &watcher::Config::default(), &what, settled).await.map(drop)
}
