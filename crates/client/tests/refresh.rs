//! The refresh of credentials, on the simulated API server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use common::workers::{Source, Workers, members};
use common::{Plane, scene, won};
use duckworker_client::{
    Activator, CredentialSource, Origin, Outcome, RefreshSettings, Refresher, WorkerProtocol,
};
use duckworker_core::worker::Writes;
use duckworker_core::{Miss, Reason, Tenant, Worker, WorkerState};
use futures::FutureExt as _;

const MINUTE: i64 = 60;

/// A plane with workers and a source that do as the test says.
struct Stage {
    plane: Plane,
    workers: Arc<Workers>,
    source: Arc<Source>,
}

impl Stage {
    async fn set(cluster: &duckworker_sim::SimCluster) -> Result<Self> {
        let plane = Plane::register(cluster, "plane-1").await?;
        Ok(Self { plane, workers: Arc::default(), source: Arc::default() })
    }

    fn refresher(&self) -> Refresher {
        refresher(&self.plane, &self.workers, &self.source)
    }
}

fn refresher(plane: &Plane, workers: &Arc<Workers>, source: &Arc<Source>) -> Refresher {
    let protocol: Arc<dyn WorkerProtocol> = Arc::clone(workers) as _;
    let source: Arc<dyn CredentialSource> = Arc::clone(source) as _;
    let activator = Activator::new(plane.lifecycle.clone(), source, protocol);
    // One at a time, so that the order is to be seen.
    Refresher::new(activator, RefreshSettings { concurrency: 1, ..RefreshSettings::default() })
}

/// A worker without what a refresh may change.
fn rest_of(worker: &Worker) -> Worker {
    let mut rest = worker.clone();
    rest.status.writes = Writes::default();
    rest.status.credentials_expire_at = None;
    rest.status.ownership = None;
    rest
}

#[test]
fn the_due_are_refreshed_in_order_and_nobody_else() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        let plane = &stage.plane;
        let other = Plane::register(&cluster, "plane-2").await?;
        let ends = |minutes: i64| Some(plane.in_seconds(minutes * MINUTE));
        drop(plane.hot("later", "acme", ends(20)).await?);
        drop(plane.hot("fresh", "acme", ends(59)).await?);
        plane.parked("parked", "acme", ends(10)).await?;
        drop(plane.hot("unknown", "acme", None).await?);
        drop(plane.reserved("reserved", "acme").await?);
        plane.idle("idle").await?;
        drop(other.hot("others", "acme", None).await?);
        let activating = plane.reserved("activating", "acme").await?;
        won(plane.lifecycle.activate(&activating).await)?;
        let names =
            ["unknown", "parked", "later", "fresh", "reserved", "idle", "others", "activating"];
        let mut before = Vec::new();
        for name in names {
            before.push(plane.see(name).await?.worker().clone());
        }
        let expire_at = ends(60);
        stage.source.set("acme", "two", expire_at);

        stage.refresher().look().await;

        ensure!(stage.workers.names_told() == ["unknown", "parked", "later"]);
        for (name, before) in names.into_iter().zip(before) {
            let after = plane.see(name).await?.worker().clone();
            let refreshed = matches!(name, "unknown" | "parked" | "later");
            if !refreshed {
                ensure!(after == before, "{name} was touched");
                continue;
            }
            ensure!(rest_of(&after) == rest_of(&before), "{name}: more than credentials changed");
            ensure!(after.status.epoch() == before.status.epoch().next(), "{name}");
            ensure!(after.status.credentials_expire_at == expire_at, "{name}");
            // The worker is told at the epoch of its new lease, and every member.
            let told = stage.workers.told().into_iter().find(|told| told.worker == name);
            let told = told.expect("it was told");
            ensure!(told.epoch == after.status.epoch().get() && told.members == members("two"));
        }
        // What was fetched for one worker of a tenant serves all of them.
        ensure!(*stage.source.fetches.lock().unwrap() == 1);
        Ok(())
    })
}

#[test]
fn one_that_fails_holds_up_no_other_and_costs_ever_less() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        let plane = &stage.plane;
        drop(plane.hot("a", "acme", None).await?);
        drop(plane.hot("b", "acme", None).await?);
        drop(plane.hot("c", "umbrella", None).await?);
        for tenant in ["acme", "umbrella"] {
            stage.source.set(tenant, "one", Some(plane.in_seconds(60 * MINUTE)));
        }
        stage.workers.unwilling.lock().unwrap().insert("a".to_owned());
        stage.source.failing.lock().unwrap().insert("umbrella".to_owned());
        let mut refresher = stage.refresher();
        refresher.look().await;
        ensure!(stage.workers.names_told() == ["b"]);
        ensure!(plane.see("a").await?.worker().status.credentials_expire_at.is_none());
        let running = tokio::spawn(refresher.run());
        tokio::time::sleep(Duration::from_mins(10)).await;
        // Each try of "a" costs an epoch, so there are few; it comes all the same.
        let epoch = plane.see("a").await?.worker().status.epoch().get();
        ensure!((4..=12).contains(&epoch), "epoch {epoch}");
        stage.workers.unwilling.lock().unwrap().clear();
        stage.source.failing.lock().unwrap().clear();
        tokio::time::sleep(Duration::from_mins(6)).await;
        running.abort();
        let mut told = stage.workers.names_told();
        told.sort_unstable();
        ensure!(told == ["a", "b", "c"], "{told:?}");
        Ok(())
    })
}

#[test]
fn every_instance_refreshes_its_own() -> Result<()> {
    scene(async |cluster| {
        let first = Stage::set(&cluster).await?;
        let plane = Plane::register(&cluster, "plane-2").await?;
        let second = Stage { plane, workers: Arc::default(), source: Arc::clone(&first.source) };
        first.source.set("acme", "one", Some(first.plane.in_seconds(60 * MINUTE)));
        drop(first.plane.hot("a", "acme", None).await?);
        drop(second.plane.hot("b", "acme", None).await?);
        first.refresher().look().await;
        second.refresher().look().await;
        ensure!(first.workers.names_told() == ["a"] && second.workers.names_told() == ["b"]);
        Ok(())
    })
}

#[test]
fn a_rotation_reaches_every_worker_once_and_rest_is_rest() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        // Credentials that never expire.
        stage.source.set("acme", "one", None);
        drop(stage.plane.hot("hot", "acme", None).await?);
        let parked = stage.plane.parked("parked", "acme", None).await?;
        let running = tokio::spawn(stage.refresher().run());
        tokio::time::sleep(Duration::from_mins(1)).await;
        ensure!(stage.workers.told().len() == 2, "each is told once by a new owner");
        let writes =
            async |name: &str| anyhow::Ok(stage.plane.see(name).await?.worker().status.writes.seq);
        let before = (writes("hot").await?, writes("parked").await?);
        tokio::time::sleep(Duration::from_mins(30)).await;
        ensure!(before == (writes("hot").await?, writes("parked").await?), "it writes at rest");
        stage.source.set("acme", "two", None);
        tokio::time::sleep(Duration::from_secs(20)).await;
        running.abort();
        let told: Vec<_> = stage
            .workers
            .told()
            .into_iter()
            .filter(|told| told.members == members("two"))
            .collect();
        ensure!(told.len() == 2, "{told:?}");
        let now = stage.plane.see("parked").await?;
        ensure!(now.worker().status.idle_since == parked.worker().status.idle_since);
        Ok(())
    })
}

#[test]
fn a_worker_taken_over_in_mid_refresh_keeps_its_new_owners_credentials() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        let other = Arc::new(Plane::register(&cluster, "plane-2").await?);
        drop(stage.plane.hot("w", "acme", None).await?);
        stage.source.set("acme", "two", Some(stage.plane.in_seconds(60 * MINUTE)));
        let theirs = other.in_seconds(45 * MINUTE);
        let robber = Arc::clone(&other);
        // The new lease is won, and the worker is about to be told.
        let hook = move |name: &str| {
            let (robber, name) = (Arc::clone(&robber), name.to_owned());
            async move {
                let seen = robber.see(&name).await.unwrap();
                let (tenant, epoch) = (Tenant::new("acme").unwrap(), seen.worker().status.epoch());
                let lifecycle = &robber.lifecycle;
                let taken = lifecycle.take_over(&seen, tenant, epoch, Origin::Library).await;
                let lease = won(taken).unwrap();
                won(lifecycle.activate(&lease).await).unwrap();
                won(lifecycle.activated(&lease, Some(theirs)).await).unwrap();
            }
            .boxed()
        };
        *stage.workers.meanwhile.lock().unwrap() = Some(Box::new(hook));
        stage.refresher().look().await;
        let now = other.see("w").await?.worker().clone();
        ensure!(now.status.credentials_expire_at == Some(theirs), "{now:?}");
        ensure!(now.status.owner() == Some(other.lifecycle.instance().owner()));
        // What we told it is of a lower epoch than what it has: it refuses that by itself.
        let told = stage.workers.told();
        ensure!(told[0].epoch < now.status.epoch().get());
        // It is not ours any more, so it is left alone from now on.
        *stage.workers.meanwhile.lock().unwrap() = None;
        stage.refresher().look().await;
        ensure!(stage.workers.told().len() == 1);
        Ok(())
    })
}

#[test]
fn a_refresh_between_the_reading_of_a_lease_and_its_use_is_no_miss() -> Result<()> {
    scene(async |cluster| {
        let plane = Plane::register(&cluster, "plane-1").await?;
        let other = Plane::register(&cluster, "plane-2").await?;
        let lifecycle = &plane.lifecycle;
        let uid = plane.hot("w", "acme", None).await?.key().uid.clone();
        let tries = AtomicUsize::new(0);
        let release = |lease| {
            let first = tries.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if first {
                    drop(lifecycle.refresh_lease(&lease).await?);
                }
                lifecycle.release(&lease, Origin::Library).await
            }
        };
        won(lifecycle.by_newest_lease(&uid, release).await)?;
        ensure!(tries.load(Ordering::SeqCst) == 2);
        // Taken by another meanwhile: no second try.
        let seen = other.see("w").await?;
        let tenant = Tenant::new("acme")?;
        let theirs =
            other.lifecycle.claim_hot_idle(&seen, tenant, None, None, Origin::Library).await;
        drop(won(theirs)?);
        let drain = |lease| {
            tries.fetch_add(1, Ordering::SeqCst);
            async move { lifecycle.drain(&lease, Reason::Shutdown, Origin::Library).await }
        };
        let drained = lifecycle.by_newest_lease(&uid, drain).await?;
        ensure!(matches!(drained, Outcome::Missed(Miss::Owner)), "{drained:?}");
        ensure!(tries.load(Ordering::SeqCst) == 3);
        Ok(())
    })
}

#[test]
fn an_activation_tells_the_credentials_and_they_are_not_told_again() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        let plane = &stage.plane;
        let expire_at = Some(plane.in_seconds(60 * MINUTE));
        stage.source.set("acme", "one", expire_at);
        let lease = plane.reserved("w", "acme").await?;
        let activating = won(plane.lifecycle.activate(&lease).await)?;
        let (source, protocol) = (Arc::clone(&stage.source), Arc::clone(&stage.workers));
        let activator = Activator::new(plane.lifecycle.clone(), source, protocol);
        let deadline = Duration::from_secs(5);
        let hot = activator.finish(&activating, &lease, deadline).await?;
        let hot = hot.transitioned().expect("it is ours");
        ensure!(hot.state() == WorkerState::Hot);
        ensure!(hot.worker().status.credentials_expire_at == expire_at);
        ensure!(stage.workers.told()[0].members == members("one"));
        let mut refresher = stage.refresher();
        refresher.look().await;
        ensure!(stage.workers.told().len() == 1);
        // Past half of its time the source still has nothing newer: no epoch is spent on that.
        tokio::time::sleep(Duration::from_mins(40)).await;
        refresher.look().await;
        ensure!(stage.workers.told().len() == 1);
        ensure!(plane.see("w").await?.worker().status.epoch() == lease.epoch());
        stage.source.set("acme", "two", Some(plane.in_seconds(60 * MINUTE)));
        tokio::time::sleep(Duration::from_mins(1)).await;
        refresher.look().await;
        ensure!(stage.workers.told().len() == 2);
        Ok(())
    })
}
