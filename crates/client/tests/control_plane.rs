//! A control plane from its registration to its end, on the simulated API server with simulated
//! kubelets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use common::workers::{Answers, Source, Workers};
use common::{NAMESPACE, Plane, scene, won};
use duckworker_api::DuckWorker;
use duckworker_client::{
    ClaimError, Connection, ControlPlane, ControlPlaneSettings, Gone, HeldWorker, Idlers, Origin,
    ShutdownReport,
};
use duckworker_core::plan::health::Finding;
use duckworker_core::{Reason, Tenant, WorkerState as S};
use duckworker_faults::{Call, Fault, Faults, Refusal, Verb};
use duckworker_sim::{SimCluster, User};
use futures::FutureExt as _;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};

const WORKERS: &str = "duckworkers.duckworker.dev";
const SOON: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_mins(3);

/// A cluster with kubelets, somebody who makes workers, and a control plane.
struct Stage {
    cluster: SimCluster,
    maker: Plane,
    workers: Arc<Workers>,
    source: Arc<Source>,
    faults: Faults,
    plane: Option<ControlPlane>,
}

impl Stage {
    async fn set(cluster: &SimCluster) -> Result<Self> {
        cluster.start();
        Self::beside(cluster, Plane::register(cluster, "maker").await?).await
    }

    /// A control plane on a cluster that runs already.
    async fn beside(cluster: &SimCluster, maker: Plane) -> Result<Self> {
        let (workers, source): (Arc<Workers>, Arc<Source>) = Default::default();
        let faults = Faults::none();
        let user = User::in_pod(NAMESPACE, "control-plane", "plane-1", &cluster.chance("p").uid());
        let connection = Connection::over(cluster.service(user, &faults), NAMESPACE);
        let settings = ControlPlaneSettings::new(NAMESPACE, NAMESPACE);
        let registered =
            ControlPlane::register(&connection, settings, workers.clone(), source.clone());
        let plane = Some(registered.await?);
        Ok(Self { cluster: cluster.clone(), maker, workers, source, faults, plane })
    }

    fn plane(&self) -> &ControlPlane {
        self.plane.as_ref().expect("it was shut down")
    }

    async fn shut_down(&mut self, idlers: Idlers, patience: Duration) -> ShutdownReport {
        self.plane.take().expect("it was shut down").shut_down(idlers, patience).await
    }

    async fn held(&self, name: &str) -> Result<HeldWorker> {
        self.maker.with_pod(name).await?;
        let held = self.plane().claim(&acme(), None).await?;
        ensure!(held.key().name == name, "{} was claimed", held.key());
        Ok(held)
    }

    async fn state(&self, name: &str) -> Result<S> {
        Ok(self.maker.see(name).await?.state())
    }

    fn count(&self, collection: &str) -> usize {
        self.cluster.objects(collection).len()
    }

    /// When something of a worker first was so, as a place in the history.
    fn when(&self, what: &str, name: &str, state: &str) -> Option<usize> {
        self.cluster.history().iter().position(|version| {
            let object = &version.object;
            let there = match (what, state) {
                (WORKERS, state) => object["status"]["state"] == state,
                (_, "stopping") => object["metadata"]["deletionTimestamp"].is_string(),
                _ => version.change == duckworker_sim::Change::Deleted,
            };
            &*version.collection == what && version.name == name && there
        })
    }
}

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

fn names(keys: &[duckworker_core::WorkerKey]) -> Vec<&str> {
    keys.iter().map(|key| key.name.as_str()).collect()
}

#[test]
fn unused_workers_are_drained_then_deleted_then_retired_in_this_order() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        let before = stage.count("pods");
        for name in ["a", "b"] {
            drop(stage.held(name).await?);
        }
        ensure!(stage.count("pods") == before + 2);
        let leases = stage.count("leases.coordination.k8s.io");
        let report = stage.shut_down(Idlers::Retire, PATIENCE).await;
        let mut retired = names(&report.retired);
        retired.sort_unstable();
        ensure!(retired == ["a", "b"] && report.unfinished.is_empty(), "{report:?}");
        for name in ["a", "b"] {
            let secret = format!("{name}-rpc");
            let order = [
                stage.when(WORKERS, name, "Draining"),
                stage.when("pods", name, "stopping"),
                stage.when("pods", name, "gone"),
                stage.when("secrets", &secret, "gone"),
                stage.when(WORKERS, name, "Retired"),
            ];
            ensure!(order.iter().all(Option::is_some) && order.is_sorted(), "{name}: {order:?}");
        }
        ensure!(stage.count("leases.coordination.k8s.io") == leases - 1, "its Lease is left");
        Ok(())
    })
}

#[test]
fn a_drain_that_misses_is_followed_by_nothing() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        let held = stage.held("w").await?;
        // Taken from us, and our watch does not show it yet.
        cluster.hold_watches(WORKERS);
        let seen = stage.maker.see("w").await?;
        let epoch = seen.worker().status.epoch();
        let lifecycle = &stage.maker.lifecycle;
        drop(won(lifecycle.take_over(&seen, acme(), epoch, Origin::Library).await)?);
        let report = stage.shut_down(Idlers::Retire, SOON).await;
        ensure!(names(&report.missed) == ["w"], "{report:?}");
        ensure!(stage.when("pods", "w", "stopping").is_none() && stage.count("secrets") == 1);
        ensure!(stage.state("w").await? == S::Reserved);
        ensure!(held.gone().await == Gone::Taken);
        Ok(())
    })
}

#[test]
fn a_pod_that_cannot_be_deleted_leaves_its_worker_draining() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        drop(stage.held("w").await?);
        stage.faults.choose(|_, call: &Call| {
            call.is(Verb::Delete, "pods").then_some(Fault::Refuse(Refusal::Forbidden))
        });
        let report = stage.shut_down(Idlers::Retire, Duration::from_secs(20)).await;
        ensure!(names(&report.unfinished) == ["w"], "{report:?}");
        ensure!(stage.state("w").await? == S::Draining);
        ensure!(stage.count("pods") == 1 && stage.count("secrets") == 1);
        Ok(())
    })
}

#[test]
fn a_pod_that_is_gone_already_is_fine() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        drop(stage.held("w").await?);
        let pods: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(cluster.admin(), NAMESPACE);
        pods.delete("w", &DeleteParams::default().grace_period(0)).await?;
        let report = stage.shut_down(Idlers::Retire, PATIENCE).await;
        ensure!(names(&report.retired) == ["w"] && stage.count("secrets") == 0, "{report:?}");
        Ok(())
    })
}

#[test]
fn a_worker_with_sessions_is_kept_and_what_nobody_uses_is_parked() -> Result<()> {
    for idlers in [Idlers::Park, Idlers::Retire] {
        scene(async |cluster| {
            let mut stage = Stage::set(&cluster).await?;
            let suffix = format!("{idlers:?}").to_lowercase();
            let (busy, free) = (format!("busy-{suffix}"), format!("free-{suffix}"));
            let in_use = stage.held(&busy).await?;
            let session = in_use.open_session().context("it is open")?;
            let unused = stage.held(&free).await?;
            let report = stage.shut_down(idlers, Duration::from_mins(1)).await;
            ensure!(names(&report.kept) == [&*busy], "{report:?}");
            ensure!(stage.state(&busy).await? == S::Hot);
            ensure!(stage.when("pods", &busy, "stopping").is_none());
            let end = if idlers == Idlers::Park { S::HotIdle } else { S::Retired };
            ensure!(stage.state(&free).await? == end, "{idlers:?}");
            let why = if idlers == Idlers::Park { Gone::Released } else { Gone::Drained };
            ensure!(unused.gone().await == why);
            ensure!(in_use.open_session().is_none(), "a session was opened while it stops");
            drop(session);
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn sessions_live_through_a_stop_and_their_end_is_waited_for() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        let held = stage.held("w").await?;
        let session = held.open_session().context("it is open")?;
        let begun = tokio::time::Instant::now();
        let ends = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            drop(session);
        };
        let (report, ()) = tokio::join!(stage.shut_down(Idlers::Park, PATIENCE), ends);
        ensure!(names(&report.parked) == ["w"], "{report:?}");
        ensure!(begun.elapsed() >= Duration::from_secs(20));
        ensure!(stage.when("pods", "w", "stopping").is_none());
        Ok(())
    })
}

#[test]
fn a_claim_that_is_cut_off_by_the_stop_leaves_nothing_behind() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        stage.maker.with_pod("w").await?;
        let hook = |_: &str| std::future::pending().boxed();
        *stage.workers.meanwhile.lock().unwrap() = Some(Box::new(hook));
        let tenant = acme();
        let claim = stage.plane().claim(&tenant, None);
        ensure!(tokio::time::timeout(Duration::from_secs(5), claim).await.is_err());
        ensure!(stage.state("w").await? == S::Activating);
        let report = stage.shut_down(Idlers::Park, PATIENCE).await;
        ensure!(names(&report.retired) == ["w"], "{report:?}");
        ensure!(stage.state("w").await? == S::Retired);
        ensure!(stage.when("pods", "w", "stopping").is_some());
        Ok(())
    })
}

/// The stop comes when the worker is Hot already and the claim has not heard of it.
#[test]
fn a_claim_that_is_cut_off_at_its_last_answer_leaves_a_parked_worker() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        stage.maker.with_pod("w").await?;
        // Reserved, Activating, Hot: the third write's answer does not come.
        let writes = AtomicUsize::new(0);
        stage.faults.choose(move |_, call: &Call| {
            let write = call.is(Verb::Update, "duckworkers/status");
            (write && writes.fetch_add(1, Ordering::SeqCst) == 2).then_some(Fault::HangAfter)
        });
        let tenant = acme();
        let claim = stage.plane().claim(&tenant, None);
        ensure!(tokio::time::timeout(Duration::from_secs(3), claim).await.is_err());
        ensure!(stage.state("w").await? == S::Hot);
        let report = stage.shut_down(Idlers::Park, PATIENCE).await;
        ensure!(names(&report.parked) == ["w"], "{report:?}");
        ensure!(stage.state("w").await? == S::HotIdle);
        Ok(())
    })
}

#[test]
fn a_stop_during_refreshes_uses_no_stale_lease() -> Result<()> {
    scene(async |cluster| {
        let mut stage = Stage::set(&cluster).await?;
        for number in 0..12 {
            drop(stage.held(&format!("w-{number}")).await?);
        }
        // From now on there is a new edition at every look.
        let source = Arc::clone(&stage.source);
        let rotation = tokio::spawn(async move {
            for edition in 0.. {
                source.set("acme", &format!("edition-{edition}"), None);
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        });
        for round in 0..3 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            ensure!(stage.workers.told().len() > 12 * round, "nobody was refreshed");
        }
        // At the very moment of a look.
        tokio::time::sleep(Duration::from_millis(4_995)).await;
        let report = stage.shut_down(Idlers::Retire, PATIENCE).await;
        rotation.abort();
        ensure!(report.retired.len() == 12, "{report:?}");
        Ok(())
    })
}

#[test]
fn whoever_holds_a_lost_worker_hears_of_it_once_and_it_is_cleaned_up() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        let (ill, well) = (stage.held("ill").await?, stage.held("well").await?);
        let _session = ill.open_session();
        stage.workers.answer("ill", Answers::With(Finding::Failed));
        ensure!(ill.gone().await == Gone::Lost(Reason::Unhealthy));
        ensure!(ill.open_session().is_none() && well.open_session().is_some());
        ensure!(well.gone().now_or_never().is_none());
        tokio::time::sleep(PATIENCE).await;
        ensure!(
            stage.state("ill").await? == S::Lost && stage.when("pods", "ill", "gone").is_some()
        );
        // One that the watch on pods was quicker with.
        let seen = stage.maker.see("well").await?;
        let end = duckworker_core::Terminal::Lost;
        let lifecycle = &stage.maker.lifecycle;
        let lost = lifecycle.retire_from_snapshot(&seen, end, Reason::OutOfMemory, Origin::Health);
        won(lost.await)?;
        ensure!(well.gone().await == Gone::Lost(Reason::OutOfMemory));
        Ok(())
    })
}

#[test]
fn a_worker_that_is_taken_over_is_not_held_any_more() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        let held = stage.held("w").await?;
        let seen = stage.maker.see("w").await?;
        let epoch = seen.worker().status.epoch();
        let lifecycle = &stage.maker.lifecycle;
        drop(won(lifecycle.take_over(&seen, acme(), epoch, Origin::Library).await)?);
        ensure!(held.gone().await == Gone::Taken);
        let released = held.release().await?;
        ensure!(released.transitioned().is_none());
        // And back again, by the epoch that it has now.
        let lease = stage.maker.lease("w").await?;
        won(stage.maker.lifecycle.activate(&lease).await)?;
        won(stage.maker.lifecycle.activated(&lease, None).await)?;
        let outdated = stage.plane().take_over("w", &acme(), epoch).await?;
        ensure!(outdated.transitioned().is_none(), "by an old epoch");
        let back = stage.plane().take_over("w", &acme(), lease.epoch()).await?;
        let back = back.transitioned().context("it was not taken back")?;
        ensure!(stage.state("w").await? == S::Hot && back.open_session().is_some());
        Ok(())
    })
}

#[test]
fn a_held_worker_whose_object_is_deleted_is_drained_after_its_sessions() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        let held = stage.held("w").await?;
        let session = held.open_session().context("it is open")?;
        let api: Api<DuckWorker> = Api::namespaced(cluster.admin(), NAMESPACE);
        // As the controller does with what it makes.
        let finalizer =
            serde_json::json!({ "metadata": { "finalizers": ["duckworker.dev/cleanup"] } });
        api.patch("w", &PatchParams::default(), &Patch::Merge(finalizer)).await?;
        api.delete("w", &DeleteParams::default()).await?;
        tokio::time::sleep(Duration::from_secs(10)).await;
        ensure!(held.open_session().is_none() && stage.state("w").await? == S::Hot);
        drop(session);
        ensure!(held.gone().await == Gone::Drained);
        ensure!(stage.state("w").await? == S::Retired);
        Ok(())
    })
}

#[test]
fn a_release_that_cannot_be_written_leaves_the_worker_usable() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        let held = stage.held("w").await?;
        stage.faults.choose(|_, call: &Call| {
            let write = call.is(Verb::Update, "duckworkers/status");
            write.then_some(Fault::Refuse(Refusal::Forbidden))
        });
        ensure!(held.release().await.is_err());
        ensure!(held.open_session().is_some() && stage.state("w").await? == S::Hot);
        stage.faults.heal();
        won(held.release().await)?;
        ensure!(stage.state("w").await? == S::HotIdle && held.gone().await == Gone::Released);
        Ok(())
    })
}

#[test]
fn a_worker_that_was_there_before_is_claimed_at_once() -> Result<()> {
    scene(async |cluster| {
        cluster.start();
        let maker = Plane::register(&cluster, "maker").await?;
        maker.with_pod("w").await?;
        let stage = Stage::beside(&cluster, maker).await?;
        // Nothing changes from now on: the first list alone must wake the claim.
        let tenant = acme();
        let claim = stage.plane().claim(&tenant, None);
        let held = tokio::time::timeout(Duration::from_secs(5), claim).await??;
        ensure!(held.key().name == "w");
        Ok(())
    })
}

#[test]
fn a_held_worker_that_vanished_during_a_gap_of_the_watch_is_let_go() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        let held = stage.held("w").await?;
        cluster.hold_watches(WORKERS);
        let api: Api<DuckWorker> = Api::namespaced(cluster.admin(), NAMESPACE);
        api.delete("w", &DeleteParams::default()).await?;
        // Its watch begins anew with a list, and is told of no deletion.
        cluster.compact();
        cluster.free_watches();
        let gone = tokio::time::timeout(Duration::from_mins(1), held.gone()).await?;
        ensure!(gone == Gone::Taken);
        Ok(())
    })
}

#[test]
fn a_claim_waits_for_a_worker_and_an_unwilling_one_is_ended() -> Result<()> {
    scene(async |cluster| {
        let stage = Stage::set(&cluster).await?;
        ensure!(stage.plane().try_claim(&acme(), None).await?.is_none());
        stage.workers.unwilling.lock().unwrap().insert("bad".to_owned());
        let tenant = acme();
        let bad = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            stage.maker.with_pod("bad").await
        };
        let (claim, made) = tokio::join!(stage.plane().claim(&tenant, None), bad);
        made?;
        let failed = claim.err().context("it was activated")?;
        ensure!(matches!(failed, ClaimError::Activation(_)), "{failed}");
        ensure!(stage.state("bad").await? == S::Retired);
        let newest = stage.maker.see("bad").await?.worker().status.transitions[0].clone();
        ensure!(newest.reason.as_deref() == Some("ActivationFailed"), "{newest:?}");
        let good = stage.held("good").await?;
        ensure!(good.tenant() == &tenant);
        Ok(())
    })
}
