//! The one worker of a run: how it is brought into a state, and how it goes.

use anyhow::Result;
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DeleteParams;
use kube::runtime::watcher;
use serde_json::{Value, json};

use crate::worker::{self, is};
use crate::{TestNamespace, await_list};

/// Its name.
pub const WORKER: &str = "w";
/// Its secret.
const SECRET: &str = "w-rpc";

/// One that has a second to drain.
pub fn brief() -> Value {
    let mut worker = worker::plain(WORKER);
    worker["spec"]["drainTimeoutSeconds"] = json!(1);
    worker
}

/// Makes a worker and waits for a state.
pub async fn reach(ns: &TestNamespace<'_>, worker: Value, state: &'static str) -> Result<()> {
    ns.create::<DuckWorker>(worker).await?;
    await_state(ns, state).await
}

/// Waits for a state.
pub async fn await_state(ns: &TestNamespace<'_>, state: &'static str) -> Result<()> {
    ns.await_object::<DuckWorker>(WORKER, state, is(state)).await.map(drop)
}

/// Waits until there are neither pods nor secrets.
pub async fn await_no_children(ns: &TestNamespace<'_>) -> Result<()> {
    let all = watcher::Config::default();
    await_list(&ns.api::<Pod>(), &all, "gone", <[Pod]>::is_empty).await?;
    await_list(&ns.api::<Secret>(), &all, "gone", <[Secret]>::is_empty).await?;
    Ok(())
}

/// Waits until there is nothing of ours.
pub async fn await_nothing(ns: &TestNamespace<'_>) -> Result<()> {
    let all = watcher::Config::default();
    await_list(&ns.api::<DuckWorkerClaim>(), &all, "gone", <[DuckWorkerClaim]>::is_empty).await?;
    await_list(&ns.api::<DuckWorkerPool>(), &all, "gone", <[DuckWorkerPool]>::is_empty).await?;
    await_list(&ns.api::<DuckTenant>(), &all, "gone", <[DuckTenant]>::is_empty).await?;
    await_list(&ns.api::<DuckWorker>(), &all, "gone", <[DuckWorker]>::is_empty).await?;
    let budgets = ns.api::<PodDisruptionBudget>();
    await_list(&budgets, &all, "gone", <[PodDisruptionBudget]>::is_empty).await?;
    await_no_children(ns).await
}

/// Deletes the worker.
pub async fn delete(ns: &TestNamespace<'_>) -> Result<()> {
    ns.api::<DuckWorker>().delete(WORKER, &DeleteParams::background()).await?;
    Ok(())
}

/// Its process ends.
pub async fn lose_pod(ns: &TestNamespace<'_>) -> Result<()> {
    let failed = r#"{"status":{"phase":"Failed","message":"ended by the sweep"}}"#;
    let patch = ["patch", "pod", WORKER, "--subresource=status", "--type=merge", "-p", failed];
    ns.kubectl(&patch).await?.ok()?;
    Ok(())
}

/// Its secret is deleted by hand.
pub async fn lose_secret(ns: &TestNamespace<'_>) -> Result<()> {
    ns.api::<Secret>().delete(SECRET, &DeleteParams::default()).await?;
    Ok(())
}
