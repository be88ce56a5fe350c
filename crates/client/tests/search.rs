//! A control plane's search for a worker, and what it does with the one it finds, on the
//! simulated API server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use common::workers::{Source, Workers};
use common::{NAMESPACE, Plane, scene, won};
use duckworker_client::{
    ClaimError, Connection, ControlPlane, ControlPlaneSettings, Idlers, Origin,
};
use duckworker_core::plan::claim::{Wanted, candidates};
use duckworker_core::{Reason, Tenant};
use duckworker_faults::{Call, Fault, Faults, Refusal, Verb};
use duckworker_sim::{SimCluster, User, Version};

const WORKERS: &str = "duckworkers.duckworker.dev";

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

async fn register(cluster: &SimCluster, faults: &Faults) -> Result<ControlPlane> {
    let (workers, source): (Arc<Workers>, Arc<Source>) = Default::default();
    let user = User::in_pod(NAMESPACE, "control-plane", "plane-1", &cluster.chance("p").uid());
    let connection = Connection::over(cluster.service(user, faults), NAMESPACE);
    let settings = ControlPlaneSettings::new(NAMESPACE, NAMESPACE);
    Ok(ControlPlane::register(&connection, settings, workers, source).await?)
}

/// The states of a worker so far, one after the other.
fn states(cluster: &SimCluster, name: &str) -> Vec<String> {
    let history = cluster.history();
    let of_worker = history.iter().filter(|v| &*v.collection == WORKERS && v.name == name);
    let state =
        |version: &Arc<Version>| version.object["status"]["state"].as_str().map(str::to_owned);
    let mut states: Vec<String> = of_worker.filter_map(state).collect();
    states.dedup();
    states
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
        let plane = register(&cluster, &Faults::none()).await?;
        let choice = first_choice(&maker, &plane, &["w-1", "w-2"]).await?;
        // Its cache shows both as idle; one of them dies.
        cluster.hold_watches(WORKERS);
        let lease = maker.lease(&choice).await?;
        let _permit =
            won(maker.lifecycle.mark_lost(&lease, Reason::Crashed, Origin::Health).await)?;
        let held = plane.try_claim(&acme(), None).await?.context("no worker")?;
        ensure!(held.key().name != choice, "it got the dead one");
        // To mark a worker lost deletes nothing: whoever did it has the permit, and has not used it.
        let pods = cluster.objects("pods");
        let pod = pods.iter().find(|pod| pod["metadata"]["name"] == choice.as_str());
        let pod = pod.context("its pod is gone")?;
        ensure!(pod["metadata"]["deletionTimestamp"].is_null(), "its pod was told to stop");
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

#[test]
fn a_claim_reserves_then_activates_then_serves() -> Result<()> {
    scene(async |cluster: SimCluster| {
        cluster.start();
        let maker = Plane::register(&cluster, "maker").await?;
        maker.with_pod("w").await?;
        let plane = register(&cluster, &Faults::none()).await?;
        let _held = plane.claim(&acme(), None).await?;
        let expected = ["Pending", "Spawning", "Idle", "Reserved", "Activating", "Hot"];
        ensure!(states(&cluster, "w") == expected, "{:?}", states(&cluster, "w"));
        Ok(())
    })
}

#[test]
fn a_worker_whose_last_write_is_refused_is_not_held_and_ends() -> Result<()> {
    scene(async |cluster: SimCluster| {
        cluster.start();
        let maker = Plane::register(&cluster, "maker").await?;
        maker.with_pod("w").await?;
        let faults = Faults::none();
        let plane = register(&cluster, &faults).await?;
        // Reserved and Activating are written; Hot is refused, and what comes after it is not.
        let mut writes = 0;
        faults.choose(move |_, call: &Call| {
            writes += u32::from(call.is(Verb::Update, "duckworkers/status"));
            let is_hot = writes == 3 && call.is(Verb::Update, "duckworkers/status");
            is_hot.then_some(Fault::Refuse(Refusal::Forbidden))
        });
        let failed = plane.claim(&acme(), None).await.err().context("it is held")?;
        ensure!(matches!(failed, ClaimError::Activation(_)), "{failed}");
        let expected = ["Pending", "Spawning", "Idle", "Reserved", "Activating", "Retired"];
        ensure!(states(&cluster, "w") == expected, "{:?}", states(&cluster, "w"));
        let report = plane.shut_down(Idlers::Park, Duration::from_mins(1)).await;
        let held = [&report.retired, &report.parked, &report.unfinished];
        ensure!(held.iter().all(|held| held.is_empty()), "{report:?}");
        Ok(())
    })
}
