//! What the scenarios have in common: controllers and foreign owners in a test's namespace, and
//! what is to be seen of a worker.

use anyhow::{Context as _, Result, ensure};
use duckworker::settings::Settings;
use duckworker_api::{DuckWorker, DuckWorkerStatus};
use duckworker_client::{
    Connection, Instance, InstanceSettings, Origin, Outcome, Role, WorkerLease, WorkerLifecycle,
    WorkerStore,
};
use duckworker_core::Tenant;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::ListParams;
use kube::{ResourceExt as _, runtime::watcher};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::in_process::{InProcess, quick_settings};
use crate::recorder::Recorder;
use crate::worker::is;
use crate::{Cluster, TestNamespace, await_list};

/// Runs a scenario in a namespace of the shared cluster, with the resource definitions installed. Its
/// history is recorded, and must keep the rules.
///
/// # Errors
/// Whatever the scenario fails with, or the rules that its history breaks.
pub async fn scenario<T>(
    name: &str,
    body: impl AsyncFnOnce(&TestNamespace<'_>) -> Result<T>,
) -> Result<T> {
    scenario_unchecked(name, async |ns| {
        Recorder::over(&ns.client, &ns.name, async || body(ns).await).await
    })
    .await
}

/// The same without the rules, for a scenario that itself does what they forbid: it takes a finalizer
/// away, or writes in somebody else's stead.
///
/// # Errors
/// Whatever the scenario fails with.
pub async fn scenario_unchecked<T>(
    name: &str,
    body: impl AsyncFnOnce(&TestNamespace<'_>) -> Result<T>,
) -> Result<T> {
    // Two first applies at once would stumble over each other.
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = Cluster::shared().await?;
    INSTALLED.get_or_try_init(|| install(cluster)).await?;
    cluster.with_namespace(name, body).await
}

/// Installs, and makes the garbage collector look: by itself it learns of a new kind only within
/// half a minute, and lets no foreground or orphaning deletion of it end before.
pub(crate) async fn install(cluster: &Cluster) -> Result<()> {
    cluster.install_crds().await?;
    cluster.controller_manager()?.restart()
}

/// Starts a controller for the namespace of a test.
///
/// # Errors
/// When the client cannot be set up.
pub fn controller(ns: &TestNamespace<'_>) -> Result<InProcess> {
    controller_with(ns, quick_settings(&ns.name)?)
}

/// The same with other settings.
///
/// # Errors
/// When the client cannot be set up.
pub fn controller_with(ns: &TestNamespace<'_>, settings: Settings) -> Result<InProcess> {
    Ok(InProcess::start(settings, Connection::new(ns.cluster.config()?)?))
}

/// A control plane that claims workers through the library.
pub struct ControlPlane {
    /// Its transitions.
    pub lifecycle: WorkerLifecycle,
    heartbeat: JoinHandle<()>,
}

impl ControlPlane {
    /// Registers one in the namespace of a test.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn register(ns: &TestNamespace<'_>) -> Result<Self> {
        let connection = Connection::new(ns.cluster.config()?)?;
        let times: InstanceSettings = quick_settings(&ns.name)?.lease.into();
        let (instance, heartbeat) =
            Instance::register(&connection, &ns.name, Role::ControlPlane, times).await?;
        let lifecycle = WorkerLifecycle::new(WorkerStore::new(connection), instance);
        Ok(Self { lifecycle, heartbeat: tokio::spawn(heartbeat.run()) })
    }

    /// Claims an idle worker for a tenant.
    ///
    /// # Errors
    /// When the claim is not won.
    pub async fn claim(&self, worker: &DuckWorker, tenant: &str) -> Result<WorkerLease> {
        let (namespace, name) = (worker.namespace().unwrap_or_default(), worker.name_any());
        let seen = self.lifecycle.store().observe(&namespace, &name).await?;
        let seen = seen.context("no such worker")?;
        let tenant = Tenant::new(tenant)?;
        won(self.lifecycle.claim_idle(&seen, tenant, None, Origin::Library).await?)
    }

    /// Claims an idle worker and activates it: Hot.
    ///
    /// # Errors
    /// When one of the transitions is not won.
    pub async fn serve(&self, worker: &DuckWorker, tenant: &str) -> Result<WorkerLease> {
        let lease = self.claim(worker, tenant).await?;
        won(self.lifecycle.activate(&lease).await?)?;
        won(self.lifecycle.activated(&lease, None).await?)?;
        Ok(lease)
    }

    /// Ends it as SIGKILL does.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

/// What a transition that must be won hands out.
///
/// # Errors
/// The miss.
pub fn won<T>(outcome: Outcome<T>) -> Result<T> {
    match outcome {
        Outcome::Transitioned(value) => Ok(value),
        Outcome::Missed(miss) => anyhow::bail!("missed: {miss}"),
    }
}

/// Creates a worker and waits until it is in a state.
///
/// # Errors
/// When the API server refuses it, or it does not get there.
pub async fn bring(
    ns: &TestNamespace<'_>,
    worker: serde_json::Value,
    state: &'static str,
) -> Result<DuckWorker> {
    let created: DuckWorker = ns.create(worker).await?;
    ns.await_object(&created.name_any(), state, is(state)).await
}

/// Forbids pods in the namespace by a quota, and waits until that is in force.
///
/// # Errors
/// When it does not come into force.
pub async fn forbid_pods(ns: &TestNamespace<'_>, quota: &str) -> Result<()> {
    let none = json!({ "metadata": { "name": quota }, "spec": { "hard": { "pods": "0" } } });
    ns.create::<ResourceQuota>(none).await?;
    let counted =
        |quota: &ResourceQuota| quota.status.as_ref().is_some_and(|status| status.used.is_some());
    ns.await_object(quota, "in force", counted).await?;
    Ok(())
}

/// Its status.
///
/// # Errors
/// When it has none.
pub fn status(worker: &DuckWorker) -> Result<&DuckWorkerStatus> {
    worker.status.as_ref().with_context(|| format!("{} has no status", worker.name_any()))
}

/// One of its conditions.
pub fn condition<'a>(worker: &'a DuckWorker, kind: &str) -> Option<&'a Condition> {
    worker.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// A predicate: it has this condition, True, for this reason.
pub fn says(kind: &'static str, reason: &'static str) -> impl Fn(&DuckWorker) -> bool {
    move |worker| condition(worker, kind).is_some_and(|c| c.status == "True" && c.reason == reason)
}

/// Checks that no pod and no secret is left in the namespace.
///
/// # Errors
/// What is left.
pub async fn nothing_is_left(ns: &TestNamespace<'_>) -> Result<()> {
    let list = ListParams::default();
    let pods = ns.api::<Pod>().list(&list).await?;
    let secrets = ns.api::<Secret>().list_metadata(&list).await?;
    let mut names: Vec<_> =
        pods.items.iter().map(|pod| format!("Pod {}", pod.name_any())).collect();
    names.extend(secrets.items.iter().map(|secret| format!("Secret {}", secret.name_any())));
    ensure!(names.is_empty(), "left: {}", names.join(", "));
    Ok(())
}

/// Waits until the API server has no pod and no secret in the namespace.
///
/// # Errors
/// What is left after a minute.
pub async fn await_nothing_left(ns: &TestNamespace<'_>) -> Result<()> {
    let all = watcher::Config::default();
    await_list(&ns.api::<Pod>(), &all, "gone", <[Pod]>::is_empty).await?;
    await_list(&ns.api::<Secret>(), &all, "gone", <[Secret]>::is_empty).await?;
    Ok(())
}

/// Waits until there is an Event about a worker for this reason, and returns its sentence.
///
/// # Errors
/// The Events that there are after a minute.
pub async fn await_event(ns: &TestNamespace<'_>, worker: &str, reason: &str) -> Result<String> {
    let fits = |event: &Event| {
        event.reason.as_deref() == Some(reason)
            && event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(worker)
    };
    let all = watcher::Config::default();
    let what = format!("telling {reason} about {worker}");
    let events =
        await_list(&ns.api::<Event>(), &all, &what, |events: &[Event]| events.iter().any(fits))
            .await?;
    Ok(events.iter().find(|event| fits(event)).and_then(|e| e.note.clone()).unwrap_or_default())
}
