//! Who may evict the pods of a pool, asked of the API server as `kubectl drain` does.

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::claim::{bind, claim, worker_of};
use duckworker_e2e::eviction::{Eviction, await_budget, await_idle_spared, evict};
use duckworker_e2e::pool::{await_count, change, pool, with_annotations};
use duckworker_e2e::scenario::{ControlPlane, controller, scenario};
use duckworker_e2e::worker::is;
use duckworker_e2e::{TestNamespace, annotation, await_gone};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

fn allowing_idle(mut pool: Value) -> Value {
    pool["spec"]["disruption"] = json!("AllowIdle");
    pool
}

/// A predicate: the pod says so to those who would evict it.
fn says(busy: &'static str, safe: &'static str) -> impl Fn(&Pod) -> bool {
    move |pod| {
        let safe_to_evict = "cluster-autoscaler.kubernetes.io/safe-to-evict";
        pod.labels().get("duckworker.dev/busy").is_some_and(|value| value == busy)
            && pod.annotations().get(safe_to_evict).is_some_and(|value| value == safe)
    }
}

async fn await_mark(
    ns: &TestNamespace<'_>,
    pod: &str,
    busy: &'static str,
    safe: &'static str,
) -> Result<()> {
    ns.await_object(pod, &format!("busy: {busy}"), says(busy, safe)).await.map(drop)
}

#[tokio::test]
async fn no_pod_of_a_protected_pool_is_evicted() -> Result<()> {
    scenario("protect", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 1, 5)).await?;
        await_count(ns, "p", "Idle", 1).await?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        let busy = worker_of(&bound)?;
        let all = await_count(ns, "p", "Idle", 1).await?;
        await_budget(ns, "p", 2).await?;
        let idle = all.iter().find(|worker| is("Idle")(worker)).map(ResourceExt::name_any);
        for name in [busy, &idle.unwrap_or_default()] {
            ensure!(evict(ns, name).await? == Eviction::Refused, "{name}");
            let pod: Pod = ns.api().get(name).await?;
            ensure!(pod.metadata.deletion_timestamp.is_none(), "{name}");
            ensure!(!pod.labels().contains_key("duckworker.dev/busy"), "nobody asked for marks");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_budget_is_mended_made_anew_and_goes_with_its_pool() -> Result<()> {
    scenario("budget", async |ns| {
        let _controller = controller(ns)?;
        let created = ns.create::<DuckWorkerPool>(pool("p", 1, 5)).await?;
        let made = await_budget(ns, "p", 1).await?;
        let budgets = ns.api::<PodDisruptionBudget>();
        let name = made.name_any();
        let edit = json!({ "spec": { "minAvailable": 0 } });
        budgets.patch(&name, &PatchParams::default(), &Patch::Merge(edit)).await?;
        let mended = |budget: &PodDisruptionBudget| {
            budget.spec == made.spec && budget.metadata.generation > made.metadata.generation
        };
        ns.await_object(&name, "mended", mended).await?;
        budgets.delete(&name, &DeleteParams::default()).await?;
        let anew =
            |budget: &PodDisruptionBudget| budget.spec == made.spec && budget.uid() != made.uid();
        let last = ns.await_object(&name, "made anew", anew).await?;
        ns.api::<DuckWorkerPool>().delete("p", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &created).await?;
        await_gone(&budgets, &last).await
    })
    .await
}

#[tokio::test]
async fn idle_pods_are_evicted_where_that_is_allowed_and_busy_ones_are_not() -> Result<()> {
    scenario("allow-idle", async |ns| {
        let _controller = controller(ns)?;
        // So slowly that the controller sees them stop: a pod that is gone at once is a loss.
        let slow = with_annotations(pool("p", 1, 5), &json!({ annotation::STOP_DELAY: "2s" }));
        ns.create::<DuckWorkerPool>(allowing_idle(slow)).await?;
        let first = await_count(ns, "p", "Idle", 1).await?;
        let evicted = first[0].name_any();
        await_mark(ns, &evicted, "false", "true").await?;
        await_idle_spared(ns, "p").await?;
        ensure!(evict(ns, &evicted).await? == Eviction::Granted);
        let ended: DuckWorker = ns.await_object(&evicted, "Retired", is("Retired")).await?;
        let reasons = ended.status.iter().flat_map(|status| &status.transitions);
        let mut reasons = reasons.filter_map(|transition| transition.reason.as_deref());
        ensure!(reasons.any(|reason| reason == "Evicted"), "{:?}", ended.status);
        await_count(ns, "p", "Idle", 1).await?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        let busy = worker_of(&bound)?;
        let marked: Pod = ns.api().get(busy).await?;
        ensure!(says("true", "false")(&marked), "it is marked before its claim is Ready");
        await_budget(ns, "p", 1).await?;
        ensure!(evict(ns, busy).await? == Eviction::Refused);
        ns.api::<DuckWorkerClaim>().delete("c", &DeleteParams::default()).await?;
        await_mark(ns, busy, "false", "true").await?;
        ensure!(evict(ns, busy).await? == Eviction::Granted, "it is parked");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_control_planes_worker_is_marked_too_and_pods_of_before_catch_up() -> Result<()> {
    scenario("marks", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 2, 5)).await?;
        let idle = await_count(ns, "p", "Idle", 2).await?;
        let (held, free) = (idle[0].name_any(), idle[1].name_any());
        let owner = ControlPlane::register(ns).await?;
        let _lease = owner.serve(&idle[0], "acme").await?;
        await_count(ns, "p", "Idle", 2).await?;
        await_budget(ns, "p", 3).await?;
        change(ns, "p", json!({ "spec": { "disruption": "AllowIdle" } })).await?;
        await_mark(ns, &held, "true", "false").await?;
        await_mark(ns, &free, "false", "true").await?;
        await_idle_spared(ns, "p").await?;
        ensure!(evict(ns, &held).await? == Eviction::Refused);
        change(ns, "p", json!({ "spec": { "disruption": "Protect" } })).await?;
        await_budget(ns, "p", 3).await?;
        ensure!(evict(ns, &free).await? == Eviction::Refused);
        Ok(())
    })
    .await
}
