//! A control plane's search for a worker goes on after a miss, on the simulated API server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod common;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use common::workers::{Source, Workers};
use common::{NAMESPACE, Plane, scene, won};
use duckworker_client::{Connection, ControlPlane, ControlPlaneSettings, Origin};
use duckworker_core::plan::claim::{Wanted, candidates};
use duckworker_core::{Reason, Tenant};
use duckworker_faults::Faults;
use duckworker_sim::{SimCluster, User};

const WORKERS: &str = "duckworkers.duckworker.dev";

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

async fn register(cluster: &SimCluster) -> Result<ControlPlane> {
    let (workers, source): (Arc<Workers>, Arc<Source>) = Default::default();
    let user = User::in_pod(NAMESPACE, "control-plane", "plane-1", &cluster.chance("p").uid());
    let connection = Connection::over(cluster.service(user, &Faults::none()), NAMESPACE);
    let settings = ControlPlaneSettings::new(NAMESPACE, NAMESPACE);
    Ok(ControlPlane::register(&connection, settings, workers, source).await?)
}

/// The worker that the control plane would try first, of those that there are.
async fn first_choice(maker: &Plane, plane: &ControlPlane, names: &[&str]) -> Result<String> {
    let mut all = Vec::new();
    for name in names {
        all.push(maker.see(name).await?);
    }
    let (tenant, by) = (acme(), plane.owner());
    let wanted = Wanted { tenant: &tenant, version: None, by };
    let order = candidates(&wanted, all, |seen| seen.worker());
    Ok(order.first().context("a candidate")?.key().name.clone())
}

#[test]
fn a_worker_that_went_another_way_is_passed_over() -> Result<()> {
    scene(async |cluster: SimCluster| {
        cluster.start();
        let maker = Plane::register(&cluster, "maker").await?;
        for name in ["w-1", "w-2"] {
            maker.with_pod(name).await?;
        }
        let plane = register(&cluster).await?;
        let choice = first_choice(&maker, &plane, &["w-1", "w-2"]).await?;
        // Its cache shows both as idle; one of them dies.
        cluster.hold_watches(WORKERS);
        let lease = maker.lease(&choice).await?;
        let _permit =
            won(maker.lifecycle.mark_lost(&lease, Reason::Crashed, Origin::Health).await)?;
        let held = plane.try_claim(&acme(), None).await?.context("no worker")?;
        ensure!(held.key().name != choice, "it got the dead one");
        cluster.free_watches();
        // Nothing is idle any more: nothing is written, and it does not wait.
        let before = cluster.history().len();
        ensure!(plane.try_claim(&Tenant::new("other")?, None).await?.is_none());
        let written =
            cluster.history()[before..].iter().filter(|v| &*v.collection == WORKERS).count();
        ensure!(written == 0, "{written} writes");
        Ok(())
    })
}
