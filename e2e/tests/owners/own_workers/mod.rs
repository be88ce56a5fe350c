//! What a controller does for its own workers while they run: their health, and the credentials
//! of their tenants.
//!
//! | file | holds |
//! |---|---|
//! | `main.rs` | rotation and loss, with a stand-in for the protocol |
//! | [`flight`] | the protocol itself, with a process that is not ours |
//! | [`stub`] | that process |
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod flight;
mod stub;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckTenant, DuckWorker, labels};
use duckworker_client::{Connection, Credentials, NotActivated, WorkerLease, WorkerProtocol};
use duckworker_core::Worker;
use duckworker_core::plan::health::Finding;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::scenario::{await_event, await_nothing_left, controller, scenario, status};
use duckworker_e2e::worker::{self, is, reason};
use duckworker_e2e::{PATIENCE, TestNamespace};
use futures::future::{BoxFuture, ready};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::watch;

const EXPIRES: &str = "2099-01-01T00:00:00Z";
const EXPIRES_LATER: &str = "2099-06-01T00:00:00Z";

/// What a worker was told: the epoch and the members.
type Told = (i64, BTreeMap<String, String>);

/// Workers that take what they are told and remember it.
#[derive(Default)]
struct Obedient {
    told: Mutex<Vec<Told>>,
    news: watch::Sender<usize>,
    /// The next call does not reach them.
    out_of_reach: AtomicBool,
}

impl Obedient {
    fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until workers were told so often.
    async fn await_told(&self, times: usize) -> Result<()> {
        let mut news = self.news.subscribe();
        let enough = news.wait_for(|count| *count >= times);
        let told = tokio::time::timeout(PATIENCE, enough).await;
        told.with_context(|| format!("told only {:?}", self.told()))?.map(drop)?;
        Ok(())
    }
}

impl WorkerProtocol for Obedient {
    fn probe<'a>(&'a self, _: &'a Worker) -> BoxFuture<'a, Finding> {
        Box::pin(ready(Finding::Healthy))
    }

    fn takes_credentials(&self, _: &Worker) -> bool {
        true
    }

    fn activate<'a>(
        &'a self,
        _: &'a Worker,
        lease: &'a WorkerLease,
        credentials: Option<&'a Credentials>,
    ) -> BoxFuture<'a, Result<(), NotActivated>> {
        if self.out_of_reach.swap(false, Ordering::SeqCst) {
            return Box::pin(ready(Err(NotActivated::Untold("nobody answers".to_owned()))));
        }
        let members = credentials.map(|credentials| &credentials.members).into_iter().flatten();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let members = members.map(|(name, value)| (name.clone(), text(value))).collect();
        let told = (lease.epoch().get(), members);
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        self.news.send_modify(|count| *count += 1);
        Box::pin(ready(Ok(())))
    }
}

fn members(key: &str) -> BTreeMap<String, String> {
    [("key", key), ("cache_transport", "s3")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

fn activation_secret(key: &str, expires: &str) -> Value {
    json!({
        "metadata": { "name": "acme-activation", "annotations": { labels::EXPIRE_AT: expires } },
        "stringData": members(key),
    })
}

fn expiry(worker: &DuckWorker) -> Option<String> {
    let at = worker.status.as_ref()?.credentials_expire_at?;
    Some(at.to_string())
}

async fn declare_tenant(ns: &TestNamespace<'_>) -> Result<()> {
    let spec = json!({ "activationSecretRef": { "name": "acme-activation" } });
    let tenant = json!({ "metadata": { "name": "acme" }, "spec": spec });
    ns.create::<DuckTenant>(tenant).await.map(drop)
}

#[tokio::test]
async fn a_worker_is_told_its_tenants_secret_and_every_rotation_of_it() -> Result<()> {
    scenario("rotation", async |ns| {
        let workers = Arc::new(Obedient::default());
        let connection = Connection::new(ns.cluster.config()?)?;
        let settings = quick_settings(&ns.name)?;
        let controller = InProcess::start_with(settings, connection, Some(workers.clone()));
        declare_tenant(ns).await?;
        ns.create::<Secret>(activation_secret("one", EXPIRES)).await?;
        ns.create::<DuckWorker>(worker::dedicated("w1", "acme")).await?;
        let hot = ns.await_object::<DuckWorker>("w1", "Hot", is("Hot")).await?;
        let epoch = status(&hot)?.owner_epoch.context("an epoch")?;
        ensure!(workers.told() == [(epoch, members("one"))], "{:?}", workers.told());
        ensure!(expiry(&hot).as_deref() == Some(EXPIRES), "{:?}", expiry(&hot));

        let rotated = Patch::Merge(activation_secret("two", EXPIRES_LATER));
        ns.api::<Secret>().patch("acme-activation", &PatchParams::default(), &rotated).await?;
        let later = |worker: &DuckWorker| expiry(worker).as_deref() == Some(EXPIRES_LATER);
        let refreshed = ns.await_object::<DuckWorker>("w1", "refreshed", later).await?;
        let told = workers.told();
        ensure!(told.len() == 2 && told[1] == (epoch + 1, members("two")), "{told:?}");
        let (before, after) = (status(&hot)?, status(&refreshed)?);
        ensure!(after.state == "Hot" && after.state_since == before.state_since);
        ensure!(after.owner == before.owner && after.owner_epoch == Some(epoch + 1));
        ensure!(after.pod == before.pod && after.endpoint == before.endpoint);
        ensure!(after.tenant == before.tenant && after.transitions == before.transitions);
        controller.stop().await
    })
    .await
}

#[tokio::test]
async fn a_worker_that_was_not_reached_is_told_again_and_not_abandoned() -> Result<()> {
    scenario("untold", async |ns| {
        let workers = Arc::new(Obedient { out_of_reach: true.into(), ..Obedient::default() });
        let connection = Connection::new(ns.cluster.config()?)?;
        let settings = quick_settings(&ns.name)?;
        let controller = InProcess::start_with(settings, connection, Some(workers.clone()));
        ns.create::<DuckWorker>(worker::dedicated("w1", "acme")).await?;
        ns.await_object::<DuckWorker>("w1", "Hot", is("Hot")).await?;
        ensure!(!workers.out_of_reach.load(Ordering::SeqCst), "nobody tried");
        ensure!(workers.told().len() == 1, "{:?}", workers.told());
        controller.stop().await
    })
    .await
}

#[tokio::test]
async fn a_worker_whose_tenants_secret_is_missing_waits_for_it() -> Result<()> {
    scenario("late-secret", async |ns| {
        let workers = Arc::new(Obedient::default());
        let connection = Connection::new(ns.cluster.config()?)?;
        let settings = quick_settings(&ns.name)?;
        let controller = InProcess::start_with(settings, connection, Some(workers.clone()));
        declare_tenant(ns).await?;
        ns.create::<DuckWorker>(worker::dedicated("w1", "acme")).await?;
        ns.await_object::<DuckWorker>("w1", "Activating", is("Activating")).await?;
        ns.create::<Secret>(activation_secret("one", EXPIRES)).await?;
        ns.await_object::<DuckWorker>("w1", "Hot", is("Hot")).await?;
        workers.await_told(1).await?;
        ensure!(workers.told()[0].1 == members("one"));
        controller.stop().await
    })
    .await
}

/// The readiness probe of its pod fails, as its kubelet would say.
async fn make_unready(ns: &TestNamespace<'_>, pod: &str) -> Result<()> {
    let unready = json!({ "status": {
        "conditions": [
            { "type": "Ready", "status": "False", "reason": "ContainersNotReady" },
            { "type": "ContainersReady", "status": "False", "reason": "ContainersNotReady" },
        ],
        "containerStatuses": [{
            "name": "duckdb", "image": "i", "imageID": "i", "ready": false, "restartCount": 0,
            "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
        }],
    } });
    let command = ["patch", "pod", pod, "--subresource=status", "-p", &unready.to_string()];
    ns.kubectl(&command).await?.ok().map(drop)
}

#[tokio::test]
async fn a_worker_whose_pod_stays_unready_is_lost_and_cleaned_up() -> Result<()> {
    scenario("unhealthy", async |ns| {
        let controller = controller(ns)?;
        for name in ["ill", "well"] {
            let mut worker = worker::plain(name);
            worker["spec"]["healthCheck"] = json!({ "periodSeconds": 1, "failureThreshold": 3 });
            ns.create::<DuckWorker>(worker).await?;
            ns.await_object::<DuckWorker>(name, "Idle", is("Idle")).await?;
        }
        make_unready(ns, "ill").await?;
        let lost = ns.await_object::<DuckWorker>("ill", "Lost", is("Lost")).await?;
        ensure!(reason(&lost) == Some("Unhealthy"), "{:?}", reason(&lost));
        ensure!(await_event(ns, "ill", "WorkerLost").await?.contains("health check failed"));
        let well = ns.api::<DuckWorker>().get("well").await?;
        ensure!(is("Idle")(&well), "the other went with it");
        ns.api::<DuckWorker>().delete("well", &DeleteParams::default()).await?;
        await_nothing_left(ns).await?;
        let pod = ns.api::<Pod>().get_opt("ill").await?;
        ensure!(pod.is_none());
        controller.stop().await
    })
    .await
}
