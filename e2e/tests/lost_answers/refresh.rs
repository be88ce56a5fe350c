//! The refresh contract: the stored epoch and the one in memory change in one step, for everybody
//! who asks; and no worker waits for another's refresh.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_client::{Origin, WorkerLease, WorkerSnapshot};
use duckworker_core::{Note, Reason};
use duckworker_e2e::plane::{Plane, won};
use duckworker_e2e::scenario::scenario;
use duckworker_faults::{Fault, Refusal};
use futures::future::join_all;
use futures::poll;

use crate::DEADLINE;

const SLOW: Duration = Duration::from_millis(200);

async fn held(plane: &Plane, worker: &WorkerSnapshot) -> Result<WorkerLease> {
    plane.lifecycle.lease(&worker.key().uid).await?.context("nothing is held")
}

#[tokio::test]
async fn readers_wait_for_a_refresh_and_see_its_epoch() -> Result<()> {
    scenario("refresh-readers", async |ns| {
        let plane = Plane::register(ns, DEADLINE).await?;
        let idle = plane.idle("w1").await?;
        let old = held(&plane, &idle).await?;
        plane.suffers([Fault::Slow(SLOW)]);
        // The refresh is polled first, so it is under way when the readers come.
        let readers = join_all((0..8).map(|_| held(&plane, &idle)));
        let (refreshed, readers) = tokio::join!(plane.lifecycle.refresh_lease(&old), readers);
        let refreshed = won(refreshed)?;
        ensure!(refreshed.epoch() == old.epoch().next());
        for lease in readers {
            ensure!(lease? == refreshed, "a reader got a lease that was stale already");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_shutdown_during_a_refresh_drains_with_the_new_epoch() -> Result<()> {
    scenario("refresh-shutdown", async |ns| {
        let plane = Plane::register(ns, DEADLINE).await?;
        let idle = plane.idle("w1").await?;
        let old = held(&plane, &idle).await?;
        plane.suffers([Fault::Slow(SLOW)]);
        let shutdown = async {
            let lease = held(&plane, &idle).await?;
            won(plane.lifecycle.drain(&lease, Reason::Deleted, Origin::Shutdown).await)
        };
        let (refreshed, drained) = tokio::join!(plane.lifecycle.refresh_lease(&old), shutdown);
        drop((won(refreshed)?, drained?));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_failed_refresh_changes_nothing() -> Result<()> {
    scenario("refresh-fails", async |ns| {
        let plane = Plane::register(ns, DEADLINE).await?;
        let idle = plane.idle("w1").await?;
        let lease = held(&plane, &idle).await?;
        let busy = Refusal::TooManyRequests { retry_after: 1 };
        for refusal in [Refusal::Forbidden, Refusal::Unauthorized, busy] {
            plane.suffers([Fault::Refuse(refusal)]);
            ensure!(plane.lifecycle.refresh_lease(&lease).await.is_err(), "{refusal:?}");
            ensure!(held(&plane, &idle).await? == lease, "{refusal:?} changed what is held");
            ensure!(plane.see("w1").await?.worker() == idle.worker());
        }
        won(plane.lifecycle.note(&lease, Note::default(), Origin::Library).await)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_dropped_refresh_is_resolved_by_whoever_reads_next() -> Result<()> {
    scenario("refresh-dropped", async |ns| {
        let plane = Plane::register(ns, DEADLINE).await?;
        for (name, fault) in [("before", Fault::Hang), ("after", Fault::HangAfter)] {
            let idle = plane.idle(name).await?;
            let old = held(&plane, &idle).await?;
            plane.suffers([fault]);
            let dropped = tokio::time::timeout(SLOW, plane.lifecycle.refresh_lease(&old)).await;
            ensure!(dropped.is_err(), "it was answered");
            let lease = held(&plane, &idle).await?;
            let stored = plane.see(name).await?.worker().status.epoch();
            ensure!(lease.epoch() == stored && stored == old.epoch().next(), "{lease:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refresh_of_one_worker_blocks_no_other() -> Result<()> {
    scenario("refresh-apart", async |ns| {
        let plane = Plane::register(ns, DEADLINE).await?;
        let (stuck, free) = (plane.idle("stuck").await?, plane.idle("free").await?);
        let (stuck_lease, free_lease) = (held(&plane, &stuck).await?, held(&plane, &free).await?);
        plane.suffers([Fault::Hang]);
        let mut refresh = pin!(plane.lifecycle.refresh_lease(&stuck_lease));
        ensure!(poll!(&mut refresh).is_pending());
        drop(won(plane.lifecycle.refresh_lease(&free_lease).await)?);
        drop(held(&plane, &free).await?);
        ensure!(poll!(&mut refresh).is_pending(), "the stuck one was not stuck");
        drop(won(refresh.await)?);
        Ok(())
    })
    .await
}
