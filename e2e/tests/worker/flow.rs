//! Flow control: what a Lease's renewal and a claim wait for does not queue behind relists.
#![allow(clippy::large_futures, reason = "the future of a whole test")]

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::instance::Heartbeat;
use duckworker_client::{
    Connection, Instance, InstanceSettings, Role, WorkerLifecycle, WorkerStore,
};
use duckworker_e2e::scenario::{scenario, won};
use duckworker_e2e::{Identity, PATIENCE, TestNamespace, rights, worker};
use http::{HeaderMap, Response};
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tower::util::MapResponseLayer;

const SYSTEM: &str = "duckworker-system";

/// The headers of the newest answer.
type Newest = Arc<Mutex<HeaderMap>>;

/// A connection of somebody that remembers the headers of its newest answer.
fn connect(identity: &Identity) -> Result<(Connection, Newest)> {
    let newest = Newest::default();
    let kept = Arc::clone(&newest);
    let keep = move |response: Response<_>| {
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = response.headers().clone();
        response
    };
    let layer = MapResponseLayer::new(keep);
    Ok((Connection::with_layer(identity.config()?, &layer)?, newest))
}

/// The flow schema and the priority level that the newest answer names, by their uids.
fn flow(newest: &Newest) -> (String, String) {
    let headers = newest.lock().unwrap_or_else(PoisonError::into_inner);
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    (header("x-kubernetes-pf-flowschema-uid"), header("x-kubernetes-pf-prioritylevel-uid"))
}

/// The same for a flow schema and a priority level by their names.
async fn named(ns: &TestNamespace<'_>, schema: &str, level: &str) -> Result<(String, String)> {
    let schemas: Api<FlowSchema> = ns.cluster_api();
    let levels: Api<PriorityLevelConfiguration> = ns.cluster_api();
    let schema = schemas.get(schema).await?.uid().context("a uid")?;
    Ok((schema, levels.get(level).await?.uid().context("a uid")?))
}

/// Sends a request until it is answered in this flow: the API server takes up new schemas a moment
/// after they were made.
async fn flows_in(
    newest: &Newest,
    wanted: &(String, String),
    request: impl AsyncFn() -> Result<()>,
) -> Result<()> {
    let asked = async {
        loop {
            request().await?;
            if flow(newest) == *wanted {
                return anyhow::Ok(());
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, asked).await;
    found.with_context(|| format!("it flows in {:?}, not in {wanted:?}", flow(newest)))?
}

#[tokio::test]
async fn renewals_and_claims_have_seats_of_their_own() -> Result<()> {
    scenario("flow", async |ns| {
        ns.cluster.install_config().await?;
        let leases = named(ns, "duckworker-leases", "leader-election").await?;
        let writes = named(ns, "duckworker-writes", "duckworker").await?;
        let controller = ns.cluster.service_account(SYSTEM, "duckworker", None).await?;
        let (connection, newest) = connect(&controller)?;
        let settings = InstanceSettings::default();
        let registered = Instance::register(&connection, SYSTEM, Role::Controller, settings);
        let (instance, _heartbeat) = registered.await?;

        flows_in(&newest, &leases, async || {
            let registered = Instance::register(&connection, SYSTEM, Role::Controller, settings);
            Heartbeat::leave(&connection, &registered.await?.0).await;
            Ok(())
        })
        .await?;

        let lifecycle = WorkerLifecycle::new(WorkerStore::new(connection.clone()), instance);
        let store = lifecycle.store();
        ns.create::<DuckWorker>(worker::plain("w1")).await?;
        flows_in(&newest, &writes, async || {
            store.observe(&ns.name, "w1").await.map(drop).map_err(Into::into)
        })
        .await?;
        let seen = store.observe(&ns.name, "w1").await?.context("a worker")?;
        drop(won(lifecycle.adopt_new(&seen).await?)?);
        ensure!(flow(&newest) == writes, "the write of a status flows elsewhere");

        // A list stays where everybody's are.
        let workers: Api<DuckWorker> = Api::namespaced(connection.client.clone(), &ns.name);
        workers.list(&ListParams::default()).await?;
        ensure!(flow(&newest).1 != writes.1 && flow(&newest).1 != leases.1, "a list has a seat");
        Heartbeat::leave(&connection, lifecycle.instance()).await;
        Ok(())
    })
    .await
}

/// A control plane's own account has the same seats for its claims.
#[tokio::test]
async fn a_control_plane_of_others_has_them_too() -> Result<()> {
    scenario("flow-others", async |ns| {
        ns.cluster.install_config().await?;
        ns.kubectl(&["create", "serviceaccount", "cp"]).await?.ok()?;
        rights::control_plane(ns, &format!("--serviceaccount={}:cp", ns.name)).await?;
        let (connection, newest) =
            connect(&ns.cluster.service_account(&ns.name, "cp", None).await?)?;
        let writes = named(ns, "duckworker-writes", "duckworker").await?;
        ns.create::<DuckWorker>(json!(worker::plain("w1"))).await?;
        let store = WorkerStore::new(connection);
        flows_in(&newest, &writes, async || {
            store.observe(&ns.name, "w1").await.map(drop).map_err(Into::into)
        })
        .await
    })
    .await
}
