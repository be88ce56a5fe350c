//! The API server or its store is away.

use std::time::Instant;

use anyhow::{Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::Connection;
use duckworker_client::connection::PROGRAM;
use duckworker_e2e::worker::is;
use duckworker_e2e::{
    AuditEvent, Cluster, ClusterOptions, SecondApiServer, TestNamespace, await_gone,
};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, WatchEvent, WatchParams};

use crate::ground::{AFTER_RESTART, Calm, become_idle, live_through, recorded, remove, storm_time};

/// Where a storm blows: the cluster, the namespace, and the API server that it spares.
struct Place<'a> {
    cluster: &'a Cluster,
    ns: &'a TestNamespace<'a>,
    spared: &'a SecondApiServer,
}

/// A storm over a cluster of its own, as the controllers meet it.
async fn over_a_cluster(
    name: &str,
    storm: impl AsyncFnOnce(Place<'_>) -> Result<()>,
) -> Result<Calm> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    cluster.install_crds().await?;
    recorded(&cluster, name, async |ns, spared| {
        let connections =
            [Connection::new(cluster.config()?)?, Connection::new(cluster.config()?)?];
        let place = Place { cluster: &cluster, ns, spared };
        live_through(name, ns, connections, async || storm(place).await).await
    })
    .await
}

#[tokio::test]
async fn the_api_server_is_killed_and_comes_back() -> Result<()> {
    let calm = over_a_cluster("api-server-killed", async |place| {
        place.cluster.api_server().kill()?;
        tokio::time::sleep(storm_time()?).await;
        place.cluster.api_server().start()?;
        place.cluster.await_api_server().await
    })
    .await?;
    ensure!(calm.ours <= AFTER_RESTART, "{calm:?}");
    Ok(())
}

#[tokio::test]
async fn etcd_stands_still() -> Result<()> {
    over_a_cluster("etcd-stands-still", async |place| {
        place.cluster.etcd().pause()?;
        tokio::time::sleep(storm_time()?).await;
        place.cluster.etcd().resume()
    })
    .await
    .map(drop)
}

/// While the API server of the controllers is away, a worker is deleted and the pod of another one
/// vanishes; then all old versions are forgotten. Where their watches were, the server answers 410:
/// only a new list can tell what is not there any more.
#[tokio::test]
async fn the_history_is_compacted_under_the_watches() -> Result<()> {
    let calm = over_a_cluster("compacted", async |place| {
        let (cluster, ns) = (place.cluster, place.ns);
        become_idle(ns, "deleted").await?;
        become_idle(ns, "podless").await?;
        let old = ns.api::<DuckWorker>().list(&ListParams::default()).await?;
        let old = old.metadata.resource_version.unwrap_or_default();

        cluster.api_server().kill()?;
        let begin = cluster.audit().mark()?;
        let people = place.spared.identity(cluster.user("admin")?)?.client()?;
        let workers: Api<DuckWorker> = Api::namespaced(people.clone(), &ns.name);
        let deleted = workers.get("deleted").await?;
        workers.delete("deleted", &DeleteParams::default()).await?;
        let pods: Api<Pod> = Api::namespaced(people, &ns.name);
        pods.delete("podless", &DeleteParams::default().grace_period(0)).await?;
        cluster.compact_etcd().await?;
        cluster.api_server().start()?;
        cluster.await_api_server().await?;

        let back = Instant::now();
        demand_gone(&ns.api(), &old).await?;
        await_gone(&ns.api(), &deleted).await?;
        ns.await_object::<DuckWorker>("podless", "Lost", is("Lost")).await?;
        let noticed = back.elapsed();
        println!("compacted: {noticed:?} after the API server was back all deletions were known");
        ensure!(noticed <= AFTER_RESTART, "they were known after {noticed:?}");
        let relisted = |events: &[AuditEvent]| {
            ["duckworkers", "pods", "secrets"].into_iter().all(|resource| {
                events.iter().filter(|event| is_relist(event, ns, resource)).count() >= 2
            })
        };
        cluster.audit().await_events(begin, "new lists of two controllers", relisted).await?;
        remove(ns, "podless").await
    })
    .await?;
    ensure!(calm.ours <= AFTER_RESTART, "{calm:?}");
    Ok(())
}

/// A watch from this version on is answered `410 Gone`.
async fn demand_gone(workers: &Api<DuckWorker>, version: &str) -> Result<()> {
    let stream = workers.watch(&WatchParams::default(), version).await;
    let code = match stream {
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => return Err(error.into()),
        Ok(stream) => match std::pin::pin!(stream).next().await.transpose()? {
            Some(WatchEvent::Error(status)) => status.code,
            other => anyhow::bail!("the watch goes on: {other:?}"),
        },
    };
    ensure!(code == 410, "{code} and not 410");
    Ok(())
}

fn is_relist(event: &AuditEvent, ns: &TestNamespace<'_>, resource: &str) -> bool {
    event.user_agent == PROGRAM
        && event.verb == "list"
        && event.code() == Some(200)
        && event.resource() == resource
        && event.namespace() == ns.name
}
