//! A tenant, a pool and a claim: bound in milliseconds, queried, undisturbed by a roll of the
//! controller, parked, and bound again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool, samples};
use duckworker_e2e::claim::{is as has_come, source, worker_of};
use duckworker_e2e::pool::counts_idle;
use duckworker_e2e::worker::state;
use duckworker_e2e::{PATIENCE, await_gone, await_object};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::cap;
use crate::ground::Ground;
use crate::query::{self, Query};
use crate::show;
use crate::site::Workers;

/// What the samples call pool and claim.
const NAME: &str = "sample";
const CLAIM_FILE: &str = "config/samples/claim.yaml";

/// Shows it; how long the claim took.
pub async fn run(ground: &mut Ground) -> Result<Duration> {
    tenant(ground).await?;
    pool(ground).await?;
    let (took, bound) = claim(ground).await?;
    let query = query::begin(ground).await?;
    roll(ground, &bound, query).await?;
    again(ground, &bound).await?;
    cap::run(ground).await?;
    end(ground).await?;
    Ok(took)
}

async fn tenant(ground: &Ground) -> Result<()> {
    show::step("A tenant: who it is, and the SQL that its workers run when they become its own");
    let files = ["-f", "config/samples/tenant-activation.yaml", "-f", "config/samples/tenant.yaml"];
    ground.kubectl_shown(&[&["apply"], &files[..]].concat()).await?;
    Ok(())
}

async fn pool(ground: &Ground) -> Result<()> {
    show::step("A pool keeps workers warm, for whoever comes");
    match ground.workers() {
        Workers::DuckDb => {
            ground.kubectl_shown(&["apply", "-f", "config/samples/pool.yaml"]).await?;
        }
        Workers::StandIns => {
            let mut pool = serde_json::to_value(samples::pool())?;
            pool["spec"]["template"]["spec"]["connection"] = json!({ "protocol": "None" });
            let remark = "config/samples/pool.yaml, of workers that speak no protocol";
            ground.apply(&pool.to_string(), remark).await?;
        }
    }
    let wanted = samples::pool().spec.replicas;
    await_object(&ground.api(), NAME, "warm", counts_idle(wanted)).await?;
    ground.kubectl_shown(&["get", "dwp"]).await?;
    ground.kubectl_shown(&["get", "dw"]).await?;
    Ok(())
}

async fn claim(ground: &Ground) -> Result<(Duration, DuckWorkerClaim)> {
    show::step("The tenant claims one");
    let (took, bound) = bind(ground).await?;
    show::say(&format!(
        "from the moment that the claim was there until it was Ready: {} ms",
        took.as_millis()
    ));
    ground.kubectl_shown(&["get", "dwc"]).await?;
    ensure!(source(&bound) == "Warm", "its worker was not warm: {}", source(&bound));
    Ok((took, bound))
}

/// Applies the claim, and measures from the watch event that shows it to the one that shows it
/// Ready: what kubectl takes to start is no time of ours.
async fn bind(ground: &Ground) -> Result<(Duration, DuckWorkerClaim)> {
    let claims: Api<DuckWorkerClaim> = ground.api();
    let mut versions = watch_object(claims, NAME).default_backoff().boxed();
    versions.next().await.context("the watch ended")??;
    let measure = async {
        let mut first = None;
        while let Some(claim) = versions.next().await {
            let Ok(Some(claim)) = claim else { continue };
            let first = *first.get_or_insert_with(Instant::now);
            if has_come("Ready")(&claim) {
                return Ok((first.elapsed(), claim));
            }
        }
        anyhow::bail!("the watch ended")
    };
    let apply = ["apply", "-f", CLAIM_FILE];
    let measure = async {
        tokio::time::timeout(PATIENCE, measure).await.context("the claim does not become Ready")?
    };
    let (_, measured) = tokio::try_join!(ground.kubectl_shown(&apply), measure)?;
    Ok(measured)
}

/// Rolls the controller in the middle of a query, if there can be one.
async fn roll(ground: &mut Ground, bound: &DuckWorkerClaim, query: Option<Query>) -> Result<()> {
    let workers: Api<DuckWorker> = ground.api();
    let name = worker_of(bound)?;
    let before = workers.get(name).await?;
    let owner = owner_of(&before).map(str::to_owned);
    let pod = uid_of_pod(ground, name).await?;
    match &query {
        Some(query) => {
            show::step("The controller is rolled in the middle of a long query");
            query.tell();
        }
        None => show::step("The controller is rolled"),
    }
    ground.roll().await?;
    let is_adopted = |worker: &DuckWorker| owner_of(worker) != owner.as_deref();
    let after = await_object(&workers, name, "adopted", is_adopted).await?;
    show::say(&format!("the worker's owner was {}", owner.as_deref().unwrap_or("nobody")));
    show::say(&format!("            and is now {}", owner_of(&after).unwrap_or("nobody")));
    if let Some(query) = query {
        query.finish().await?;
    }
    let same = uid_of_pod(ground, name).await?;
    show::say(&format!("the pod's uid was {pod}"));
    show::say(&format!("        and is now {same}"));
    ensure!(same == pod && state(&after) == "Hot", "the worker was disturbed");
    Ok(())
}

/// Gives the worker back, and claims again.
async fn again(ground: &Ground, bound: &DuckWorkerClaim) -> Result<()> {
    show::step("The claim is deleted: its worker is parked (HotIdle), for this tenant only");
    ground.kubectl_shown(&["delete", "dwc", NAME]).await?;
    let (workers, name) = (ground.api::<DuckWorker>(), worker_of(bound)?);
    let is_parked = |worker: &DuckWorker| state(worker) == "HotIdle";
    await_object(&workers, name, "parked", is_parked).await?;
    ground.kubectl_shown(&["get", "dw"]).await?;
    show::step("The tenant's next claim gets it again, with all that is in it");
    let (took, second) = bind(ground).await?;
    show::say(&format!("Ready after {} ms", took.as_millis()));
    ground.kubectl_shown(&["get", "dwc"]).await?;
    ensure!(worker_of(&second)? == name, "it got another worker");
    ensure!(source(&second) == "HotIdle", "it got it as {}", source(&second));
    if ground.workers() == Workers::DuckDb {
        query::show_rows(ground).await?;
    }
    Ok(())
}

async fn end(ground: &Ground) -> Result<()> {
    show::step("All of it is deleted: claim, pool, tenant, the tenant's secret");
    let pools: Api<DuckWorkerPool> = ground.api();
    let pool = pools.get(NAME).await?;
    ground.kubectl_shown(&["delete", "dwc,dwp", NAME]).await?;
    let files = ["-f", "config/samples/tenant.yaml", "-f", "config/samples/tenant-activation.yaml"];
    ground.kubectl_shown(&[&["delete"], &files[..]].concat()).await?;
    await_gone(&pools, &pool).await
}

fn owner_of(worker: &DuckWorker) -> Option<&str> {
    worker.status.as_ref()?.owner.as_deref()
}

async fn uid_of_pod(ground: &Ground, name: &str) -> Result<String> {
    ground.api::<Pod>().get(name).await?.uid().context("a pod without a uid")
}
