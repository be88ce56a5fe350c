//! Orphans, and workers that do not get on.

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use duckworker_client::{Origin, Outcome};
use duckworker_core::{Epoch, Miss, Reason, Tenant, Terminal};
use duckworker_e2e::scenario::{
    ControlPlane, await_event, await_nothing_left, bring, controller, controller_with, scenario,
    status, won,
};
use duckworker_e2e::worker::{is, plain, reason, state};
use duckworker_e2e::{annotation, worker};
use k8s_openapi::api::core::v1::Pod;

use super::{eager, with};

#[tokio::test]
async fn a_worker_whose_sessions_died_with_its_owner_is_ended() -> Result<()> {
    scenario("orphan", async |ns| {
        let _controller = controller_with(ns, eager(ns)?)?;
        let idle = bring(ns, plain("w1"), "Idle").await?;
        let control_plane = ControlPlane::register(ns).await?;
        let _lease = control_plane.serve(&idle, "acme").await?;
        control_plane.kill();
        let ended = ns.await_object::<DuckWorker>("w1", "Retired", is("Retired")).await?;
        assert_eq!(reason(&ended), Some("Orphaned"));
        await_nothing_left(ns).await?;
        await_event(ns, "w1", "WorkerOrphaned").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_dead_control_plane_parked_is_adopted() -> Result<()> {
    scenario("parked", async |ns| {
        let _controller = controller_with(ns, eager(ns)?)?;
        let idle = bring(ns, plain("w1"), "Idle").await?;
        let control_plane = ControlPlane::register(ns).await?;
        let lease = control_plane.serve(&idle, "acme").await?;
        won(control_plane.lifecycle.release(&lease, Origin::Library).await?)?;
        let dead = control_plane.lifecycle.instance().owner().to_string();
        control_plane.kill();
        let is_adopted = |worker: &DuckWorker| {
            status(worker).is_ok_and(|status| status.owner.as_ref() != Some(&dead))
        };
        let adopted = ns.await_object("w1", "adopted", is_adopted).await?;
        assert_eq!(state(&adopted), "HotIdle");
        assert_eq!(status(&adopted)?.pod, status(&idle)?.pod);
        let pod: Pod = ns.api().get("w1").await?;
        assert_eq!(pod.metadata.deletion_timestamp, None);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_orphan_that_is_taken_over_in_time_is_not_ended() -> Result<()> {
    scenario("taken-over", async |ns| {
        // No janitor of any controller interferes: its grace is the default of 30 s.
        let controller = controller(ns)?;
        let idle = bring(ns, plain("w1"), "Idle").await?;
        let (first, second) =
            (ControlPlane::register(ns).await?, ControlPlane::register(ns).await?);
        let lease = first.serve(&idle, "acme").await?;
        let seen = second.lifecycle.store().observe(&ns.name, "w1").await?.context("a worker")?;
        let retire = async || {
            let (end, reason) = (Terminal::Retired, Reason::Orphaned);
            let janitor = &second.lifecycle;
            janitor.retire_orphan_from_snapshot(&seen, end, reason, Origin::Janitor).await
        };
        // The owner lives.
        assert!(matches!(retire().await?, Outcome::Missed(Miss::OwnerAlive)));
        let (tenant, epoch): (_, Epoch) = (Tenant::new("acme")?, lease.epoch());
        let taken = second.lifecycle.take_over(&seen, tenant, epoch, Origin::Library).await?;
        let _lease = won(taken)?;
        // It is somebody else's than was seen.
        assert!(matches!(retire().await?, Outcome::Missed(Miss::State | Miss::Owner)));
        let pod: Pod = ns.api().get("w1").await?;
        assert_eq!(pod.metadata.deletion_timestamp, None);
        controller.stop().await
    })
    .await
}

#[tokio::test]
async fn a_worker_that_its_live_owner_forgot_is_ended() -> Result<()> {
    scenario("stuck", async |ns| {
        let controller = controller_with(ns, eager(ns)?)?;
        let worker = |name| with(plain(name), "activationTimeoutSeconds", 1);
        let reserved = bring(ns, worker("reserved"), "Idle").await?;
        let activating = bring(ns, worker("activating"), "Idle").await?;
        let hot = bring(ns, worker("hot"), "Idle").await?;
        let control_plane = ControlPlane::register(ns).await?;
        let lease = control_plane.claim(&reserved, "acme").await?;
        let other = control_plane.claim(&activating, "acme").await?;
        won(control_plane.lifecycle.activate(&other).await?)?;
        let held = control_plane.serve(&hot, "acme").await?;
        for name in ["reserved", "activating"] {
            let ended = ns.await_object::<DuckWorker>(name, "Retired", is("Retired")).await?;
            assert_eq!(reason(&ended), Some("Stuck"));
            await_event(ns, name, "WorkerAbandoned").await?;
        }
        // Whoever comes too late learns it, and one that goes on is spared.
        let late = control_plane.lifecycle.activate(&lease).await?;
        assert!(matches!(late, Outcome::Missed(Miss::State)), "{late:?}");
        won(control_plane.lifecycle.release(&held, Origin::Library).await?)?;
        controller.stop().await
    })
    .await
}

#[tokio::test]
async fn a_spawn_that_its_live_owner_forgot_is_ended_and_a_slow_one_is_not() -> Result<()> {
    scenario("stuck-spawning", async |ns| {
        let short = |worker| with(worker, "startupTimeoutSeconds", 1);
        ns.create::<DuckWorker>(short(plain("forgotten"))).await?;
        let control_plane = ControlPlane::register(ns).await?;
        let seen = control_plane.lifecycle.store().observe(&ns.name, "forgotten").await?;
        let taken = control_plane.lifecycle.adopt_new(&seen.context("a worker")?).await?;
        let _lease = won(taken)?;
        let _controller = controller_with(ns, eager(ns)?)?;
        let never = worker::with_annotation("slow", annotation::NEVER_READY, "true");
        let slow = bring(ns, never, "Spawning").await?;
        let ended = ns.await_object::<DuckWorker>("forgotten", "Retired", is("Retired")).await?;
        assert_eq!(reason(&ended), Some("Stuck"));
        let still = ns.api::<DuckWorker>().get("slow").await?;
        assert_eq!((state(&still), &still.metadata.uid), ("Spawning", &slow.metadata.uid));
        Ok(())
    })
    .await
}
