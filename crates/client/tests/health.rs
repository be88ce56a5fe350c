//! The health loop, on the simulated API server with a paused clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use common::workers::{Answers, Heard, Workers};
use common::{Plane, scene, won};
use duckworker_client::{HealthFollower, HealthLoop, HealthSettings, Origin, WorkerProtocol};
use duckworker_core::plan::health::Finding;
use duckworker_core::{Reason, Tenant, WorkerState as S};
use duckworker_faults::{Call, Fault, Refusal, Verb};
use duckworker_sim::SimCluster;
use tokio::task::JoinHandle;

const FAILS: Answers = Answers::With(Finding::Failed);
const FINE: Answers = Answers::With(Finding::Healthy);
/// From one check to the next, and the look that begins it.
const PERIOD: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(500);
/// Long enough for four checks.
const A_WHILE: Duration = Duration::from_secs(25);

struct Stage {
    plane: Plane,
    workers: Arc<Workers>,
    heard: Arc<Heard>,
    running: Option<JoinHandle<()>>,
}

impl Stage {
    async fn set(cluster: &SimCluster) -> Result<Self> {
        let plane = Plane::register(cluster, "plane-1").await?;
        Ok(Self { plane, workers: Arc::default(), heard: Arc::default(), running: None })
    }

    fn start(&mut self) {
        let protocol: Arc<dyn WorkerProtocol> = Arc::clone(&self.workers) as _;
        let follower: Arc<dyn HealthFollower> = Arc::clone(&self.heard) as _;
        let settings = HealthSettings::default();
        let health = HealthLoop::new(self.plane.lifecycle.clone(), protocol, follower, settings);
        self.running = Some(tokio::spawn(health.run()));
    }

    async fn state(&self, name: &str) -> Result<S> {
        Ok(self.plane.see(name).await?.state())
    }

    /// Every healthy worker was asked again within its period and one look.
    fn nobody_well_waited(&self, well: usize) -> Result<()> {
        for number in 0..well {
            let name = format!("well-{number}");
            let gap = self.workers.longest_gap(&name);
            ensure!(gap <= PERIOD + LOOK, "{name} waited {gap:?}");
        }
        Ok(())
    }

    fn lost(&self) -> Vec<(String, Reason)> {
        self.heard.lost.lock().unwrap().clone()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

/// Waits until a worker was asked so often.
async fn asked(stage: &Stage, name: &str, times: usize) {
    while stage.workers.asked(name) < times {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn three_failures_make_a_worker_lost_and_its_owner_hears_of_it_once() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        drop(stage.plane.hot("ill", "acme", None).await?);
        stage.plane.idle("well").await?;
        stage.workers.answer("ill", FAILS);
        stage.start();
        asked(&stage, "ill", 2).await;
        ensure!(stage.state("ill").await? == S::Hot);
        tokio::time::sleep(A_WHILE).await;
        ensure!(stage.state("ill").await? == S::Lost && stage.state("well").await? == S::Idle);
        ensure!(stage.lost() == [("ill".to_owned(), Reason::Unhealthy)], "{:?}", stage.lost());
        ensure!(stage.workers.asked("ill") == 3, "it is not asked any more");
        Ok(())
    })
}

#[test]
fn a_success_starts_the_count_again() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        drop(stage.plane.hot("w", "acme", None).await?);
        stage.start();
        for _ in 0..4 {
            let before = stage.workers.asked("w");
            stage.workers.answer("w", FAILS);
            asked(&stage, "w", before + 2).await;
            stage.workers.answer("w", FINE);
            asked(&stage, "w", before + 3).await;
        }
        ensure!(stage.state("w").await? == S::Hot && stage.lost().is_empty());
        Ok(())
    })
}

#[test]
fn a_worker_of_somebody_else_is_dropped_and_left_alone() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        let other = Plane::register(&cluster, "plane-2").await?;
        drop(stage.plane.hot("w", "acme", None).await?);
        stage.workers.answer("w", FAILS);
        stage.start();
        asked(&stage, "w", 1).await;
        let seen = other.see("w").await?;
        let (tenant, epoch) = (Tenant::new("acme")?, seen.worker().status.epoch());
        drop(won(other.lifecycle.take_over(&seen, tenant, epoch, Origin::Library).await)?);
        tokio::time::sleep(A_WHILE).await;
        ensure!(stage.state("w").await? == S::Reserved && stage.lost().is_empty());
        ensure!(*stage.heard.stale.lock().unwrap() == ["w"], "it is dropped once");
        let asked = stage.workers.asked("w");
        tokio::time::sleep(A_WHILE).await;
        ensure!(stage.workers.asked("w") == asked, "it is still asked");
        Ok(())
    })
}

#[test]
fn our_own_newer_epoch_is_looked_at_again() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        let lease = stage.plane.hot("w", "acme", None).await?;
        stage.workers.answer("w", Answers::Never);
        stage.start();
        asked(&stage, "w", 3).await;
        // The third check, which would be the last, runs under the old lease.
        drop(won(stage.plane.lifecycle.refresh_lease(&lease).await)?);
        tokio::time::sleep(Duration::from_secs(6)).await;
        ensure!(stage.state("w").await? == S::Hot && stage.lost().is_empty());
        ensure!(stage.heard.stale.lock().unwrap().is_empty());
        // Under the new one it takes three more.
        tokio::time::sleep(A_WHILE).await;
        ensure!(stage.state("w").await? == S::Lost);
        Ok(())
    })
}

#[test]
fn a_loss_that_was_written_by_our_own_lease_is_finished() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        let lease = stage.plane.hot("w", "acme", None).await?;
        stage.workers.answer("w", Answers::Never);
        stage.start();
        asked(&stage, "w", 3).await;
        // The watch on pods was quicker than the third check.
        let lost = stage.plane.lifecycle.mark_lost(&lease, Reason::Crashed, Origin::Health).await;
        drop(won(lost)?);
        tokio::time::sleep(Duration::from_secs(6)).await;
        ensure!(stage.lost().len() == 1 && stage.heard.stale.lock().unwrap().is_empty());
        Ok(())
    })
}

#[test]
fn while_the_store_does_not_answer_nothing_is_removed() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        drop(stage.plane.hot("w", "acme", None).await?);
        stage.workers.answer("w", FAILS);
        stage.start();
        asked(&stage, "w", 2).await;
        cluster.set_down(true);
        // Shorter than the time after which others would take us for dead.
        tokio::time::sleep(Duration::from_secs(12)).await;
        ensure!(stage.lost().is_empty() && stage.heard.stale.lock().unwrap().is_empty());
        cluster.set_down(false);
        tokio::time::sleep(Duration::from_mins(1)).await;
        ensure!(stage.state("w").await? == S::Lost && stage.lost().len() == 1);
        Ok(())
    })
}

#[test]
fn a_worker_that_calls_itself_broken_is_lost_at_the_first_report() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        drop(stage.plane.hot("w", "acme", None).await?);
        stage.workers.answer("w", Answers::With(Finding::Broken));
        stage.start();
        asked(&stage, "w", 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        ensure!(stage.lost() == [("w".to_owned(), Reason::Broken)]);
        Ok(())
    })
}

#[test]
fn a_worker_that_stops_is_draining_and_may_then_be_silent() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        drop(stage.plane.hot("w", "acme", None).await?);
        stage.workers.answer("w", Answers::With(Finding::Stopping));
        // The first try cannot be written: it stays as it is, and is tried with the next check.
        let refused = AtomicBool::new(false);
        stage.plane.faults.choose(move |_, call: &Call| {
            let first = call.is(Verb::Update, "duckworkers/status")
                && !refused.swap(true, Ordering::SeqCst);
            first.then_some(Fault::Refuse(Refusal::Forbidden))
        });
        stage.start();
        asked(&stage, "w", 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        ensure!(stage.state("w").await? == S::Hot);
        asked(&stage, "w", 2).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        ensure!(stage.state("w").await? == S::Draining);
        ensure!(*stage.heard.draining.lock().unwrap() == ["w"]);
        stage.workers.answer("w", Answers::Never);
        tokio::time::sleep(A_WHILE).await;
        ensure!(stage.state("w").await? == S::Draining && stage.lost().is_empty());
        ensure!(stage.workers.asked("w") == 2);
        Ok(())
    })
}

#[test]
fn a_check_that_our_own_stop_cuts_off_is_no_failure() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        drop(stage.plane.hot("w", "acme", None).await?);
        stage.workers.answer("w", Answers::Never);
        for round in 1..=4 {
            stage.start();
            asked(&stage, "w", round).await;
            stage.running.take().expect("it runs").abort();
        }
        tokio::time::sleep(A_WHILE).await;
        ensure!(stage.state("w").await? == S::Hot && stage.lost().is_empty());
        // What could not be found out is no failure either.
        stage.workers.answer("w", Answers::With(Finding::Unclear));
        stage.start();
        tokio::time::sleep(Duration::from_mins(2)).await;
        ensure!(stage.state("w").await? == S::Hot && stage.lost().is_empty());
        Ok(())
    })
}

#[test]
fn fifty_wedged_workers_delay_no_healthy_ones_check() -> Result<()> {
    scene(async |cluster| {
        let mut stage = wedged(&cluster, 50, 20).await?;
        stage.start();
        tokio::time::sleep(A_WHILE).await;
        stage.nobody_well_waited(20)?;
        tokio::time::sleep(A_WHILE).await;
        ensure!(stage.lost().len() == 50, "{} are lost", stage.lost().len());
        Ok(())
    })
}

/// Far more than the quick lane holds: they fill it once, and are in a lane of their own from
/// then on.
#[test]
fn six_hundred_wedged_workers_delay_the_healthy_ones_once() -> Result<()> {
    scene(async |cluster| {
        let mut stage = wedged(&cluster, 600, 5).await?;
        stage.start();
        tokio::time::sleep(PERIOD * 3).await;
        stage.workers.probes.lock().unwrap().clear();
        tokio::time::sleep(A_WHILE).await;
        stage.nobody_well_waited(5)?;
        tokio::time::sleep(Duration::from_mins(2)).await;
        ensure!(stage.lost().len() == 600, "{} are lost", stage.lost().len());
        Ok(())
    })
}

/// So many workers that never answer, and so many that do.
async fn wedged(cluster: &SimCluster, ill: usize, well: usize) -> Result<Stage> {
    cluster.set_latency(duckworker_sim::Latency::NONE);
    let stage = Stage::set(cluster).await?;
    for number in 0..ill {
        let name = format!("ill-{number}");
        stage.plane.idle(&name).await?;
        stage.workers.answer(&name, Answers::Never);
    }
    for number in 0..well {
        stage.plane.idle(&format!("well-{number}")).await?;
    }
    Ok(stage)
}
