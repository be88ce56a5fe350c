//! A worker that is deleted goes, with all that it has: in any state, with any propagation
//! policy, whoever owns it.

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorker, labels::FINALIZER};
use duckworker_client::Origin;
use duckworker_e2e::in_process::quick_settings;
use duckworker_e2e::scenario::{
    ControlPlane, await_event, await_nothing_left, bring, controller, controller_with,
    nothing_is_left, says, scenario, scenario_unchecked, status, won,
};
use duckworker_e2e::worker::{self, dedicated, is, plain, with_annotation};
use duckworker_e2e::{TestNamespace, annotation, await_gone};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

/// The ways in which an object can be deleted. Each names a worker of its own.
fn policies() -> [(&'static str, DeleteParams); 3] {
    [
        ("background", DeleteParams::background()),
        ("foreground", DeleteParams::foreground()),
        ("orphan", DeleteParams::orphan()),
    ]
}

/// Brings a worker for each policy into a state, deletes all three, and sees that nothing is left.
async fn delete_each(
    ns: &TestNamespace<'_>,
    make: impl AsyncFn(&'static str) -> Result<DuckWorker>,
) -> Result<()> {
    let make = &make;
    try_join_all(policies().map(|(name, how)| async move {
        let worker = make(name).await?;
        ns.api::<DuckWorker>().delete(name, &how).await?;
        await_gone(&ns.api(), &worker).await
    }))
    .await?;
    nothing_is_left(ns).await
}

#[tokio::test]
async fn a_pending_worker_goes_without_a_controller() -> Result<()> {
    scenario("delete-pending", async |ns| {
        delete_each(ns, async |name| bring(ns, plain(name), "Pending").await).await
    })
    .await
}

#[tokio::test]
async fn a_pending_worker_with_our_finalizer_goes_once_a_controller_runs() -> Result<()> {
    scenario("delete-taken", async |ns| {
        let make = async |name| {
            // A controller died between its first two writes.
            let mut worker = plain(name);
            worker["metadata"]["finalizers"] = json!([FINALIZER]);
            ns.create::<DuckWorker>(worker).await
        };
        let workers = try_join_all(policies().map(|(name, how)| async move {
            let worker = make(name).await?;
            ns.api::<DuckWorker>().delete(name, &how).await?;
            anyhow::Ok(worker)
        }))
        .await?;
        let _controller = controller(ns)?;
        for worker in &workers {
            await_gone(&ns.api(), worker).await?;
        }
        nothing_is_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_spawning_worker_goes() -> Result<()> {
    scenario("delete-spawning", async |ns| {
        let _controller = controller(ns)?;
        delete_each(ns, async |name| {
            bring(ns, with_annotation(name, annotation::START_DELAY, "1h"), "Spawning").await
        })
        .await
    })
    .await
}

/// Nothing of it runs anywhere, so that there is nothing to wait for.
#[tokio::test]
async fn a_worker_without_a_node_goes_at_once() -> Result<()> {
    scenario("delete-unscheduled", async |ns| {
        let _controller = controller(ns)?;
        let mut lost = plain("w1");
        lost["spec"]["drainTimeoutSeconds"] = json!(900);
        lost["spec"]["template"]["spec"]["nodeSelector"] = json!({ "no": "such" });
        ns.create::<DuckWorker>(lost).await?;
        let blocked = says("PodBlocked", "Unschedulable");
        let worker: DuckWorker = ns.await_object("w1", "blocked", blocked).await?;
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &worker).await?;
        nothing_is_left(ns).await
    })
    .await
}

#[tokio::test]
async fn an_idle_worker_goes() -> Result<()> {
    scenario("delete-idle", async |ns| {
        let _controller = controller(ns)?;
        delete_each(ns, async |name| bring(ns, plain(name), "Idle").await).await
    })
    .await
}

#[tokio::test]
async fn a_dedicated_worker_goes_while_it_is_hot() -> Result<()> {
    scenario("delete-hot", async |ns| {
        let _controller = controller(ns)?;
        delete_each(ns, async |name| bring(ns, dedicated(name, "acme"), "Hot").await).await
    })
    .await
}

/// A worker that has a second to drain.
fn brief(name: &str) -> serde_json::Value {
    let mut worker = plain(name);
    worker["spec"]["drainTimeoutSeconds"] = json!(1);
    worker
}

/// A worker that a live control plane holds, in each of these ways: it does not look at the deletion,
/// so the controller waits for the time to drain and then takes the worker over.
async fn delete_held(
    test: &str,
    hold: impl AsyncFn(&ControlPlane, &DuckWorker) -> Result<()>,
) -> Result<()> {
    scenario(test, async |ns| {
        let _controller = controller(ns)?;
        let owner = ControlPlane::register(ns).await?;
        delete_each(ns, async |name| {
            let worker = bring(ns, brief(name), "Idle").await?;
            hold(&owner, &worker).await?;
            Ok(worker)
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_worker_that_a_live_control_plane_reserved_goes() -> Result<()> {
    let reserve = async |owner: &ControlPlane, worker: &DuckWorker| {
        owner.claim(worker, "acme").await.map(drop)
    };
    delete_held("delete-reserved", reserve).await
}

#[tokio::test]
async fn a_worker_that_a_live_control_plane_activates_goes() -> Result<()> {
    delete_held("delete-activating", async |owner, worker| {
        let lease = owner.claim(worker, "acme").await?;
        won(owner.lifecycle.activate(&lease).await?).map(drop)
    })
    .await
}

#[tokio::test]
async fn a_worker_that_a_live_control_plane_serves_goes() -> Result<()> {
    let serve = async |owner: &ControlPlane, worker: &DuckWorker| {
        owner.serve(worker, "acme").await.map(drop)
    };
    delete_held("delete-serving", serve).await
}

#[tokio::test]
async fn a_parked_worker_goes() -> Result<()> {
    scenario("delete-parked", async |ns| {
        let _controller = controller(ns)?;
        let owner = ControlPlane::register(ns).await?;
        delete_each(ns, async |name| {
            let worker = bring(ns, brief(name), "Idle").await?;
            let lease = owner.serve(&worker, "acme").await?;
            won(owner.lifecycle.release(&lease, Origin::Library).await?)?;
            ns.await_object(name, "HotIdle", is("HotIdle")).await
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_draining_worker_goes() -> Result<()> {
    scenario("delete-draining", async |ns| {
        let _controller = controller(ns)?;
        delete_each(ns, async |name| {
            bring(ns, with_annotation(name, annotation::STOP_DELAY, "1s"), "Idle").await?;
            ns.api::<Pod>().delete(name, &DeleteParams::default()).await?;
            ns.await_object(name, "Draining", is("Draining")).await
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_retired_worker_goes() -> Result<()> {
    scenario("delete-retired", async |ns| {
        let _controller = controller(ns)?;
        delete_each(ns, async |name| {
            let mut worker = with_annotation(name, annotation::IMAGE_PULL, "fail");
            worker["spec"]["startupTimeoutSeconds"] = json!(1);
            bring(ns, worker, "Retired").await
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_lost_worker_goes() -> Result<()> {
    scenario("delete-lost", async |ns| {
        let _controller = controller(ns)?;
        delete_each(ns, async |name| {
            bring(ns, plain(name), "Idle").await?;
            ns.api::<Pod>().delete(name, &DeleteParams::default().grace_period(0)).await?;
            ns.await_object(name, "Lost", is("Lost")).await
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_worker_has_the_time_to_finish_its_sessions() -> Result<()> {
    scenario("delete-slow", async |ns| {
        let _controller = controller(ns)?;
        let worker = bring(ns, with_annotation("w1", annotation::STOP_DELAY, "2s"), "Idle").await?;
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        let draining: DuckWorker = ns.await_object("w1", "Draining", is("Draining")).await?;
        ensure!(worker::reason(&draining) == Some("Deleted"));
        let told = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
        let pod: Pod = ns.await_object("w1", "told to stop", told).await?;
        ensure!(pod.metadata.deletion_grace_period_seconds == Some(5), "its drainTimeoutSeconds");
        ensure!(ns.api::<Secret>().get_opt("w1-rpc").await?.is_some(), "the pod still needs it");
        ensure!(ns.api::<DuckWorker>().get("w1").await?.status == draining.status);
        await_gone(&ns.api(), &pod).await?;
        await_gone(&ns.api(), &worker).await?;
        nothing_is_left(ns).await
    })
    .await
}

#[tokio::test]
async fn without_our_finalizer_the_garbage_collector_takes_all() -> Result<()> {
    scenario_unchecked("delete-bare", async |ns| {
        let _controller = controller(ns)?;
        let worker = bring(ns, plain("w1"), "Idle").await?;
        let off = Patch::Merge(json!({"metadata": {"finalizers": []}}));
        ns.api::<DuckWorker>().patch("w1", &PatchParams::default(), &off).await?;
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &worker).await?;
        await_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_namespace_with_workers_ends() -> Result<()> {
    scenario("delete-leases", async |ns| {
        let doomed = ns.cluster.create_namespace("delete-namespace").await?;
        let mut settings = quick_settings(&doomed.name)?;
        // The controller lives elsewhere: its own Lease must not go with the workers.
        settings.lease_namespace.clone_from(&ns.name);
        let _controller = controller_with(ns, settings)?;
        bring(&doomed, plain("idle"), "Idle").await?;
        bring(&doomed, dedicated("hot", "acme"), "Hot").await?;
        let slow = with_annotation("slow", annotation::STOP_DELAY, "1s");
        bring(&doomed, slow, "Idle").await?;
        let late = with_annotation("late", annotation::START_DELAY, "1h");
        bring(&doomed, late, "Spawning").await?;
        doomed.delete_and_wait().await
    })
    .await
}

#[tokio::test]
async fn a_worker_of_a_successor_with_the_same_name_is_left_alone() -> Result<()> {
    scenario("delete-successor", async |ns| {
        let _controller = controller(ns)?;
        let first = bring(ns, plain("w1"), "Idle").await?;
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &first).await?;
        let second = bring(ns, plain("w1"), "Idle").await?;
        let pod = status(&second)?.pod.clone();
        ensure!(first.uid() != second.uid() && status(&first)?.pod != pod);
        let there = ns.api::<Pod>().get("w1").await?;
        ensure!(there.uid() == pod.map(|pod| pod.uid));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_worker_whose_status_cannot_be_written_any_more_goes() -> Result<()> {
    scenario("delete-full", async |ns| {
        let controller = controller(ns)?;
        let slow = |name| with_annotation(name, annotation::STOP_DELAY, "1s");
        let idle = bring(ns, slow("idle"), "Idle").await?;
        let orphan = bring(ns, slow("orphan"), "Idle").await?;
        delete_full(ns, &idle).await?;
        // Nobody can write down that the second one changes hands.
        controller.kill().await;
        fill_up_to_a_deletion(ns, &orphan).await?;
        let _successor = self::controller(ns)?;
        await_gone(&ns.api(), &orphan).await?;
        nothing_is_left(ns).await
    })
    .await
}

async fn delete_full(ns: &TestNamespace<'_>, worker: &DuckWorker) -> Result<()> {
    let pod: Pod = ns.api().get(&worker.name_any()).await?;
    fill_up_to_a_deletion(ns, worker).await?;
    let told = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    let pod: Pod = ns.await_object(&pod.name_any(), "told to stop", told).await?;
    ensure!(pod.metadata.deletion_grace_period_seconds == Some(5), "its drainTimeoutSeconds");
    await_event(ns, &worker.name_any(), "StatusTooLarge").await?;
    await_gone(&ns.api(), worker).await
}

/// Leaves room for the mark of a deletion and for nothing else.
async fn fill_up_to_a_deletion(ns: &TestNamespace<'_>, worker: &DuckWorker) -> Result<()> {
    let (api, name) = (ns.api::<DuckWorker>(), worker.name_any());
    let tried = worker::fill(ns, &name).await?;
    for number in 0..tried {
        match api.delete(&name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 500 => {
                let less = json!({"metadata": {"labels": { worker::filler(number): null }}});
                api.patch(&name, &PatchParams::default(), &Patch::Merge(less)).await?;
            }
            other => return other.map(drop).map_err(Into::into),
        }
    }
    anyhow::bail!("it cannot be deleted with no label at all")
}
