//! Evictions that race claims for the same workers, where idle pods may be evicted: each worker is
//! either evicted idle or serves its claim. An eviction that comes between the two (the worker is
//! taken, its pod not marked yet) ends the worker before it serves, and the claim gets another.
//!
//! One thing is out of our hands: the API server looks for a budget over the pod and then deletes it,
//! in two steps. What it has granted before the mark may end a worker that serves by then, though
//! that takes a busy machine. So a worker that served when it was evicted must bear its mark.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::claim::{claim, is, worker_of};
use duckworker_e2e::eviction::{Eviction, await_idle_spared, evict};
use duckworker_e2e::pool::{await_count, pool, with_annotations};
use duckworker_e2e::recorder::Recorder;
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_e2e::worker::state;
use duckworker_e2e::{TestNamespace, annotation};
use duckworker_history::{Version, line};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

/// How many workers are raced for at once.
const RACES: usize = 8;

/// When an eviction is sent.
#[derive(Debug, Clone, Copy)]
enum When {
    /// Together with the claim.
    AtOnce,
    /// When the claim is there.
    Created,
    /// When a claim has taken the worker.
    Taken,
    /// When the worker serves.
    Served,
}

async fn evict_when(
    ns: &TestNamespace<'_>,
    when: When,
    worker: &str,
    claim: &str,
) -> Result<Eviction> {
    match when {
        When::AtOnce => {}
        When::Created => {
            ns.await_object::<DuckWorkerClaim>(claim, "created", |_| true).await?;
        }
        When::Taken => {
            let taken = |worker: &DuckWorker| state(worker) != "Idle";
            ns.await_object::<DuckWorker>(worker, "taken", taken).await?;
        }
        When::Served => {
            let serves = |worker: &DuckWorker| state(worker) == "Hot";
            ns.await_object::<DuckWorker>(worker, "serving", serves).await?;
        }
    }
    let answer = evict(ns, worker).await?;
    let kept = answer == Eviction::Refused || !matches!(when, When::Served);
    ensure!(kept, "{worker} serves and may be evicted");
    Ok(answer)
}

/// Claims as many workers as are evicted. Returns whose eviction was granted.
async fn race(ns: &TestNamespace<'_>, round: usize) -> Result<BTreeSet<String>> {
    let idle = await_count(ns, "p", "Idle", RACES).await?;
    let idle = idle.iter().filter(|worker| state(worker) == "Idle").map(ResourceExt::name_any);
    let claims: Vec<String> = (0..RACES).map(|number| format!("c{round}-{number}")).collect();
    let orders = [When::AtOnce, When::Created, When::Taken, When::Served].into_iter().cycle();
    let races: Vec<_> = idle.zip(&claims).zip(orders).collect();
    let evictions = races.iter().map(async |((worker, claim), when)| {
        anyhow::Ok((worker.clone(), evict_when(ns, *when, worker, claim).await?))
    });
    // As many tenants as claims: nobody waits for a parked worker of its own.
    let created = claims.iter().map(|name| ns.create::<DuckWorkerClaim>(claim(name, "p", name)));
    let (answers, _) = tokio::try_join!(try_join_all(evictions), try_join_all(created))?;
    let granted = answers.into_iter().filter(|(_, answer)| *answer == Eviction::Granted);
    let granted: BTreeSet<String> = granted.map(|(name, _)| name).collect();
    for name in &claims {
        let served = |claim: &DuckWorkerClaim| {
            let live = |worker: &str| !granted.contains(worker);
            is("Ready")(claim) && worker_of(claim).is_ok_and(live)
        };
        let served: DuckWorkerClaim = ns.await_object(name, "served", served).await?;
        let worker = worker_of(&served)?;
        let pod: Pod = ns.api().get(worker).await?;
        ensure!(pod.metadata.deletion_timestamp.is_none(), "{name} has {worker}, which ends");
        ensure!(state(&ns.api::<DuckWorker>().get(worker).await?) == "Hot", "{worker}");
    }
    Ok(granted)
}

/// What state each worker was in when its pod was first told to go, and the pod's mark.
fn ends(versions: &[Version]) -> BTreeMap<String, (String, String)> {
    let (mut states, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for version in versions {
        let text = |path: &str| {
            let value = version.object.pointer(path).and_then(|value| value.as_str());
            value.unwrap_or_default().to_owned()
        };
        let name = text("/metadata/name");
        match version.collection.as_str() {
            line::WORKERS => drop(states.insert(name, text("/status/state"))),
            line::PODS if !text("/metadata/deletionTimestamp").is_empty() => {
                let state = states.get(&name).cloned().unwrap_or_default();
                let mark = text("/metadata/labels/duckworker.dev~1busy");
                ends.entry(name).or_insert((state, mark));
            }
            _ => {}
        }
    }
    ends
}

#[tokio::test]
async fn an_eviction_that_races_a_claim_ends_an_idle_worker_or_none() -> Result<()> {
    scenario("eviction-races", async |ns| {
        let recorder = Recorder::start(&ns.client, &ns.name).await?;
        let _controller = controller(ns)?;
        // So slowly that the controller sees them stop: a pod that is gone at once is a loss.
        let count = i64::try_from(RACES)?;
        let mut open =
            with_annotations(pool("p", count, 5 * count), &json!({ annotation::STOP_DELAY: "1s" }));
        open["spec"]["disruption"] = json!("AllowIdle");
        ns.create::<DuckWorkerPool>(open).await?;
        await_count(ns, "p", "Idle", RACES).await?;
        await_idle_spared(ns, "p").await?;
        let mut granted = BTreeSet::new();
        for round in 0..2 {
            granted.extend(race(ns, round).await?);
        }
        ensure!((1..2 * RACES).contains(&granted.len()), "{granted:?}: that is no race");
        let versions = recorder.finish().await.context("the recording has a gap")?;
        let ends = ends(&versions);
        for worker in &granted {
            let (state, mark) = ends.get(worker).with_context(|| format!("{worker} lives on"))?;
            ensure!(state != "Hot" || mark == "true", "{worker} served and was not marked");
        }
        Ok(())
    })
    .await
}
