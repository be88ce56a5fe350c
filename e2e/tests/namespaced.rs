//! The installation that watches one namespace only: its workers live and go under the rights that
//! `config/namespaced` grants, and the namespace itself ends although its Roles may go first.

use anyhow::{Result, ensure};
use duckworker_e2e::install::{SYSTEM, project_root, replica};
use duckworker_e2e::scenario::bring;
use duckworker_e2e::worker::{dedicated, plain, with_annotation};
use duckworker_e2e::{Cluster, ClusterOptions, TestNamespace, annotation, await_gone};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

/// The namespace that the overlay watches.
const WATCHED: &str = "ducks";

/// Installs it as a person would.
async fn install(cluster: &Cluster) -> Result<()> {
    cluster.install_crds().await?;
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": WATCHED } });
    cluster.kubectl_apply_str(&namespace.to_string()).await?.ok()?;
    let overlay = project_root().join("config/namespaced");
    cluster.kubectl(&["apply", "-k", &overlay.to_string_lossy()]).await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn a_watched_namespace_ends_with_its_workers() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    install(&cluster).await?;
    let begin = cluster.audit().mark()?;
    let (controller, identity) =
        replica(&cluster, "only", &["--namespace", WATCHED, "--lease-namespace", SYSTEM]).await?;
    let ns = TestNamespace { cluster: &cluster, client: cluster.client()?, name: WATCHED.into() };

    let idle = bring(&ns, plain("idle"), "Idle").await?;
    ns.api::<duckworker_api::DuckWorker>().delete("idle", &DeleteParams::default()).await?;
    await_gone(&ns.api(), &idle).await?;
    let events = cluster.audit().since(begin)?;
    let refused = |event: &&duckworker_e2e::AuditEvent| {
        event.user.username == identity.name() && event.lacked_the_right()
    };
    let refused: Vec<_> = events.iter().filter(refused).map(|e| &e.request_uri).collect();
    ensure!(refused.is_empty(), "a right is missing: {refused:#?}");

    bring(&ns, plain("one"), "Idle").await?;
    bring(&ns, dedicated("hot", "acme"), "Hot").await?;
    bring(&ns, with_annotation("slow", annotation::STOP_DELAY, "2s"), "Idle").await?;
    let namespaces: Api<Namespace> = Api::all(ns.client.clone());
    let namespace = namespaces.get(WATCHED).await?;
    // The worst order: the rights in the namespace go before any of its workers.
    ns.api::<RoleBinding>().delete("duckworker-controller", &DeleteParams::default()).await?;
    namespaces.delete(WATCHED, &DeleteParams::default()).await?;
    await_gone(&namespaces, &namespace).await?;
    controller.stop().await
}
