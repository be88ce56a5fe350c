//! The maximum holds at every version of history, with two controllers that both believe they
//! lead, with workers that come and go, and with creations that come late.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, ensure};
use duckworker::settings::{Election, Settings};
use duckworker_api::{DuckWorker, DuckWorkerPool};
use duckworker_e2e::in_process::quick_settings;
use duckworker_e2e::pool::{await_count, change, late_creation, pool, workers, workers_of};
use duckworker_e2e::scenario::{ControlPlane, controller, controller_with, scenario};
use duckworker_e2e::worker::state;
use duckworker_e2e::{TestNamespace, await_gone, await_list};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::runtime::watcher::{Event, watcher};
use serde_json::json;
use tokio::task::JoinHandle;

/// Counts the live workers of a pool at each version that a watch shows.
struct Census {
    most: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Census {
    fn start(ns: &TestNamespace<'_>, pool: &str) -> Self {
        let most = Arc::new(Mutex::new(0));
        let kept = Arc::clone(&most);
        let mut events = watcher(ns.api::<DuckWorker>(), workers_of(pool)).boxed();
        let task = tokio::spawn(async move {
            let mut live: BTreeMap<String, bool> = BTreeMap::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(worker) | Event::InitApply(worker)) => {
                        let lives = !matches!(state(&worker), "Pending" | "Retired" | "Lost");
                        live.insert(worker.uid().unwrap_or_default(), lives);
                    }
                    Ok(Event::Delete(worker)) => {
                        live.remove(&worker.uid().unwrap_or_default());
                    }
                    _ => {}
                }
                let now = live.values().filter(|lives| **lives).count();
                let mut most = kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                *most = now.max(*most);
            }
        });
        Self { most, task }
    }

    fn most(&self) -> usize {
        *self.most.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn both_lead(ns: &TestNamespace<'_>) -> Result<Settings> {
    let mut settings = quick_settings(&ns.name)?;
    settings.janitor.election = Election::Off;
    Ok(settings)
}

#[tokio::test]
async fn two_leaders_never_exceed_the_maximum() -> Result<()> {
    scenario("pool-two-leaders", async |ns| {
        let _first = controller_with(ns, both_lead(ns)?)?;
        let _second = controller_with(ns, both_lead(ns)?)?;
        ns.create::<DuckWorkerPool>(pool("p", 6, 6)).await?;
        let census = Census::start(ns, "p");
        let owner = ControlPlane::register(ns).await?;
        for round in 0..6 {
            let idle = await_count(ns, "p", "Idle", 6).await?;
            let some = idle.iter().filter(|w| state(w) == "Idle").take(3);
            for worker in some {
                let _lease = owner.claim(worker, "acme").await?;
                ns.api::<Pod>().delete(&worker.name_any(), &DeleteParams::default()).await?;
            }
            let replicas = if round % 2 == 0 { 3 } else { 6 };
            change(ns, "p", json!({ "spec": { "replicas": replicas } })).await?;
            let gone = idle.iter().filter(|w| state(w) == "Idle").nth(4).context("a fifth")?;
            ns.api::<DuckWorker>().delete(&gone.name_any(), &DeleteParams::default()).await?;
            change(ns, "p", json!({ "spec": { "replicas": 6 } })).await?;
        }
        await_count(ns, "p", "Idle", 6).await?;
        ensure!(census.most() == 6, "{} lived at once", census.most());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_busy_pool_stops_at_its_maximum_and_says_so() -> Result<()> {
    scenario("pool-at-max", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 2, 3)).await?;
        let census = Census::start(ns, "p");
        let owner = ControlPlane::register(ns).await?;
        let idle = await_count(ns, "p", "Idle", 2).await?;
        let _lease = owner.serve(&idle[0], "acme").await?;
        let _lease = owner.serve(&idle[1], "acme").await?;
        let third = await_count(ns, "p", "Idle", 1).await?;
        let third = third.iter().find(|w| state(w) == "Idle").context("a third")?;
        let _lease = owner.serve(third, "acme").await?;
        let at_max = duckworker_e2e::pool::says("Available", "False", "PoolAtMax");
        ns.await_object::<DuckWorkerPool>("p", "at its maximum", at_max).await?;
        ensure!(census.most() == 3 && workers(ns, "p").await?.len() == 3);
        change(ns, "p", json!({ "spec": { "maxWorkers": 5 } })).await?;
        await_count(ns, "p", "Idle", 2).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_late_creation_is_never_started_and_deleted() -> Result<()> {
    scenario("pool-late", async |ns| {
        let running = controller(ns)?;
        let made = ns.create::<DuckWorkerPool>(pool("p", 1, 10)).await?;
        let idle = await_count(ns, "p", "Idle", 1).await?;
        let name = idle[0].name_any();
        let worker = ns.api::<DuckWorker>().get(&name).await?;
        ns.api::<DuckWorker>().delete(&name, &DeleteParams::default()).await?;
        await_gone(&ns.api(), &worker).await?;
        await_count(ns, "p", "Idle", 1).await?;
        // Its number was given back; somebody who slept since then creates it now.
        let late = late_creation(ns, &worker, &name).await?;
        await_gone(&ns.api(), &late).await?;
        // With no leader to delete it, it waits, and no other controller starts it.
        running.stop().await?;
        let key = duckworker_api::pool::parse::key(&made.metadata)?;
        let far = key.worker_name(duckworker_core::Ordinal::new(900).context("a number")?);
        let late = late_creation(ns, &worker, &far).await?;
        let _next = controller(ns)?;
        change(ns, "p", json!({ "spec": { "replicas": 2 } })).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let now: DuckWorker = ns.api().get(&far).await?;
        ensure!(now.uid() == late.uid() && state(&now) == "Pending", "it has no seat");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_dead_leader_began_is_finished() -> Result<()> {
    scenario("pool-leader-dies", async |ns| {
        let first = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 20, 20)).await?;
        let census = Census::start(ns, "p");
        let some = |all: &[DuckWorker]| !all.is_empty();
        await_list(&ns.api(), &workers_of("p"), "begun", some).await?;
        first.kill().await;
        let _second = controller(ns)?;
        let all = await_count(ns, "p", "Idle", 20).await?;
        ensure!(all.len() == 20 && census.most() == 20, "{} and {}", all.len(), census.most());
        Ok(())
    })
    .await
}
