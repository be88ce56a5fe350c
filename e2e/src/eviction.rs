//! Pods asked to go, as `kubectl drain` and autoscalers ask.

use anyhow::{Context as _, Result, bail};
use duckworker_api::DuckWorkerPool;
use duckworker_client::Connection;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::EvictParams;
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};

use crate::{TestNamespace, await_list};

/// What the API server says to an eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// The pod is told to stop.
    Granted,
    /// A disruption budget keeps it.
    Refused,
}

/// Asks for the eviction of a pod.
///
/// # Errors
/// When the answer is neither a grant nor the refusal of a budget.
pub async fn evict(ns: &TestNamespace<'_>, pod: &str) -> Result<Eviction> {
    // A refusal is a 429, which the library's own client would ask again about for minutes.
    let client = Connection::new(ns.cluster.config()?)?.client;
    let pods: Api<Pod> = Api::namespaced(client, &ns.name);
    match pods.evict(pod, &EvictParams::default()).await {
        Ok(_) => Ok(Eviction::Granted),
        Err(kube::Error::Api(status))
            if status.code == 429 && status.message.contains("disruption budget") =>
        {
            Ok(Eviction::Refused)
        }
        Err(error) => bail!("evicting {pod}: {error}"),
    }
}

/// Waits until a pool's disruption budget counts so many pods. Kubernetes reckons anew when a pod
/// comes under a budget, and not when one leaves it by a change of its labels.
///
/// # Errors
/// What there is after a minute.
pub async fn await_budget(
    ns: &TestNamespace<'_>,
    pool: &str,
    pods: i32,
) -> Result<PodDisruptionBudget> {
    await_budget_that(ns, pool, &format!("counting {pods} pods"), |budget| {
        budget.status.as_ref().is_some_and(|status| {
            status.observed_generation == budget.metadata.generation
                && status.expected_pods.unwrap_or(0) == pods
                && status.current_healthy.unwrap_or(0) == pods
        })
    })
    .await
}

/// Waits until a pool's disruption budget is in force and spares idle pods.
///
/// # Errors
/// What there is after a minute.
pub async fn await_idle_spared(ns: &TestNamespace<'_>, pool: &str) -> Result<PodDisruptionBudget> {
    await_budget_that(ns, pool, "sparing idle pods", |budget| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|selector| selector.match_expressions.is_some())
    })
    .await
}

async fn await_budget_that(
    ns: &TestNamespace<'_>,
    pool: &str,
    what: &str,
    fits: impl Fn(&PodDisruptionBudget) -> bool,
) -> Result<PodDisruptionBudget> {
    let of: DuckWorkerPool = ns.api().get(pool).await?;
    let uid = of.uid().context("a pool without uid")?;
    let is_it = |budget: &PodDisruptionBudget| {
        budget.owner_references().iter().any(|owner| owner.uid == uid) && fits(budget)
    };
    let selected = watcher::Config::default().labels(&format!("duckworker.dev/pool={pool}"));
    let any = |all: &[PodDisruptionBudget]| all.iter().any(is_it);
    let all = await_list(&ns.api(), &selected, what, any).await?;
    all.into_iter().find(is_it).context("no such budget")
}
