//! Pods and secrets without a worker are swept; what is somebody's is left alone.

use anyhow::Result;
use duckworker_api::DuckWorker;
use duckworker_api::labels::{
    DUCKDB_CONTAINER, SECRET_SUFFIX, UID_ENV, UID_KEY, WORKER_NAME, WORKER_UID,
};
use duckworker_client::Origin;
use duckworker_core::{Reason, Terminal};
use duckworker_e2e::scenario::{
    ControlPlane, bring, controller_with, scenario, scenario_unchecked, won,
};
use duckworker_e2e::worker::{plain, with_annotation};
use duckworker_e2e::{TestNamespace, annotation, await_gone};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::eager;

/// A pod with the mark of a worker's uid in its environment.
fn pod_for(name: &str, uid: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": { WORKER_NAME: name, WORKER_UID: uid } },
        "spec": { "terminationGracePeriodSeconds": 1, "containers": [{
            "name": DUCKDB_CONTAINER, "image": "example.invalid/duckdb:1",
            "env": [{ "name": UID_ENV, "value": uid }],
        }] },
    })
}

/// An immutable secret whose data name a worker's uid.
pub fn secret_for(name: &str, label: &str, uid: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": { WORKER_NAME: name, WORKER_UID: label } },
        "stringData": { UID_KEY: uid },
        "immutable": true,
    })
}

/// The pod and the secret of a worker that is not there: what an orphaning delete leaves, or the
/// late create of a process that was paused.
pub async fn stray(ns: &TestNamespace<'_>, name: &str) -> Result<(Pod, Secret)> {
    let uid = format!("00000000-0000-0000-0000-{:012x}", rand::random::<u32>());
    let pod = ns.create(pod_for(name, &uid)).await?;
    let secret = secret_for(&format!("{name}{SECRET_SUFFIX}"), &uid, &uid);
    Ok((pod, ns.create(secret).await?))
}

#[tokio::test]
async fn what_a_missing_or_finished_worker_left_is_swept() -> Result<()> {
    Box::pin(scenario_unchecked("strays", async |ns| {
        let _controller = controller_with(ns, eager(ns)?)?;
        let (pod, secret) = stray(ns, "missing").await?;
        // A worker is ended by its snapshot; then its paused owner's creates arrive.
        let worker = bring(ns, plain("ended"), "Idle").await?;
        let uid = worker.uid().unwrap_or_default();
        let control_plane = ControlPlane::register(ns).await?;
        let seen = control_plane.lifecycle.store().observe(&ns.name, "ended").await?;
        let seen = seen.ok_or_else(|| anyhow::anyhow!("no worker"))?;
        let (end, reason) = (Terminal::Retired, Reason::Requested);
        let own: Pod = ns.api().get("ended").await?;
        let own_secret: Secret = ns.api().get("ended-rpc").await?;
        let lifecycle = &control_plane.lifecycle;
        won(lifecycle.retire_from_snapshot(&seen, end, reason, Origin::Library).await?)?;
        await_gone(&ns.api(), &own).await?;
        // Its own clean-up sweeps every secret with its uid, and must be over.
        await_gone(&ns.api(), &own_secret).await?;
        let late_pod: Pod = ns.create(pod_for("ended", &uid)).await?;
        let late_secret: Secret = ns.create(secret_for("ended-again-rpc", &uid, &uid)).await?;
        for pod in [&pod, &late_pod] {
            await_gone(&ns.api(), pod).await?;
        }
        await_gone(&ns.api(), &secret).await?;
        let still = ns.api::<DuckWorker>().get("ended").await?;
        assert_eq!(still.uid(), worker.uid(), "a finished worker stays readable");
        // Its name is not that of the worker's secret, so nobody vouches for it.
        assert_eq!(ns.api::<Secret>().get("ended-again-rpc").await?.uid(), late_secret.uid());
        Ok(())
    }))
    .await
}

#[tokio::test]
async fn a_secret_that_an_instance_left_behind_goes_with_its_worker() -> Result<()> {
    scenario_unchecked("late-secret", async |ns| {
        let _controller = controller_with(ns, eager(ns)?)?;
        let worker = bring(ns, plain("w1"), "Idle").await?;
        let uid = worker.uid().unwrap_or_default();
        let own: Secret = ns.api().get("w1-rpc").await?;
        let control_plane = ControlPlane::register(ns).await?;
        let lifecycle = &control_plane.lifecycle;
        let seen = lifecycle.store().observe(&ns.name, "w1").await?;
        let seen = seen.ok_or_else(|| anyhow::anyhow!("no worker"))?;
        let (end, reason) = (Terminal::Lost, Reason::Requested);
        won(lifecycle.retire_from_snapshot(&seen, end, reason, Origin::Library).await?)?;
        await_gone(&ns.api(), &own).await?;
        // The instance that made it is long dead; no label names it.
        let late: Secret = ns.create(secret_for("w1-rpc", &uid, &uid)).await?;
        await_gone(&ns.api(), &late).await
    })
    .await
}

#[tokio::test]
async fn what_is_somebodys_is_left_alone() -> Result<()> {
    scenario("spared", async |ns| {
        let controller = controller_with(ns, eager(ns)?)?;
        let live = bring(ns, plain("live"), "Idle").await?;
        let uid = live.uid().unwrap_or_default();
        let never = with_annotation("spawning", annotation::NEVER_READY, "true");
        bring(ns, never, "Spawning").await?;
        let mut others: Vec<Secret> = Vec::new();
        for (name, label, proof) in [
            ("empty-label-rpc", "", "u-1"),
            ("no-proof-rpc", "u-2", "somebody else's data"),
            // Planted to make the janitor sweep the live worker's own secret.
            ("planted-rpc", uid.as_str(), uid.as_str()),
            ("forged-rpc", "u-3", uid.as_str()),
            ("not-our-name", "u-4", "u-4"),
        ] {
            others.push(ns.create(secret_for(name, label, proof)).await?);
        }
        let mut mutable = secret_for("mutable-rpc", "u-5", "u-5");
        mutable["immutable"] = json!(false);
        others.push(ns.create(mutable).await?);
        let mut unmarked = pod_for("unmarked", "u-6");
        unmarked["spec"]["containers"][0]["env"] = json!([]);
        let unmarked: Pod = ns.create(unmarked).await?;

        // Strays that are younger are swept, twice over: so all of these were looked at.
        for name in ["canary-1", "canary-2"] {
            let (pod, secret) = stray(ns, name).await?;
            await_gone(&ns.api(), &pod).await?;
            await_gone(&ns.api(), &secret).await?;
        }
        for before in &others {
            let now = ns.api::<Secret>().get(&before.name_any()).await?;
            assert_eq!(now.metadata.deletion_timestamp, None, "{}", before.name_any());
        }
        for name in ["live", "spawning"] {
            let secret = ns.api::<Secret>().get(&format!("{name}-rpc")).await?;
            let pod = ns.api::<Pod>().get(name).await?;
            assert_eq!(secret.metadata.deletion_timestamp, None, "{name}");
            assert_eq!(pod.metadata.deletion_timestamp, None, "{name}");
        }
        let now = ns.api::<Pod>().get("unmarked").await?;
        assert_eq!((now.uid(), now.metadata.deletion_timestamp), (unmarked.uid(), None));
        controller.stop().await
    })
    .await
}
