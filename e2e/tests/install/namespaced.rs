//! The installation that watches named namespaces only: its workers live and go under the rights that
//! `config/namespaced` grants, and a namespace itself ends although its Roles may go first.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::install::{SYSTEM, project_root, replica};
use duckworker_e2e::scenario::bring;
use duckworker_e2e::worker::{dedicated, is, plain, with_annotation};
use duckworker_e2e::{
    AuditEvent, AuditMark, Cluster, ClusterOptions, TestNamespace, annotation, await_gone,
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

/// The namespace that the overlay watches.
const WATCHED: &str = "ducks";
/// Another one, with a copy of the folder `watched-namespace`.
const OTHER: &str = "geese";
/// What the controller is told.
const FLAGS: [&str; 6] =
    ["--namespace", WATCHED, "--namespace", OTHER, "--lease-namespace", SYSTEM];

/// Installs it as a person would.
async fn install(cluster: &Cluster) -> Result<()> {
    cluster.install_crds().await?;
    for name in [WATCHED, OTHER] {
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        cluster.kubectl_apply_str(&namespace.to_string()).await?.ok()?;
    }
    let overlay = project_root().join("config/namespaced");
    cluster.kubectl(&["apply", "-k", &overlay.to_string_lossy()]).await?.ok()?;
    let copy = cluster.state_folder().join(OTHER);
    fs::create_dir(&copy)?;
    for entry in fs::read_dir(overlay.join("watched-namespace"))? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        let text = text.replace(&format!("namespace: {WATCHED}"), &format!("namespace: {OTHER}"));
        fs::write(copy.join(entry.file_name()), text)?;
    }
    cluster.kubectl(&["apply", "-k", &copy.to_string_lossy()]).await?.ok()?;
    Ok(())
}

fn namespace<'a>(cluster: &'a Cluster, name: &str) -> Result<TestNamespace<'a>> {
    Ok(TestNamespace { cluster, client: cluster.client()?, name: name.to_owned() })
}

/// What the controller asked for since a mark, in this namespace or outside of all.
fn asked(cluster: &Cluster, since: AuditMark, who: &str) -> Result<Vec<AuditEvent>> {
    let mut events = cluster.audit().since(since)?;
    events.retain(|event| event.user.username == who && ["", WATCHED].contains(&event.namespace()));
    Ok(events)
}

/// Takes the rights in the namespace away, and then the namespace: the worst order.
async fn end(ns: &TestNamespace<'_>) -> Result<Namespace> {
    ns.api::<RoleBinding>().delete("duckworker-controller", &DeleteParams::default()).await?;
    let namespaces: Api<Namespace> = Api::all(ns.client.clone());
    let namespace = namespaces.get(&ns.name).await?;
    namespaces.delete(&ns.name, &DeleteParams::default()).await?;
    Ok(namespace)
}

#[tokio::test]
async fn a_watched_namespace_ends_with_its_workers() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    install(&cluster).await?;
    let begin = cluster.audit().mark()?;
    let (controller, identity) = replica(&cluster, "only", &FLAGS).await?;
    let (ns, other) = (namespace(&cluster, WATCHED)?, namespace(&cluster, OTHER)?);

    let idle = bring(&ns, plain("idle"), "Idle").await?;
    ns.api::<DuckWorker>().delete("idle", &DeleteParams::default()).await?;
    await_gone(&ns.api(), &idle).await?;
    bring(&other, plain("before"), "Idle").await?;
    let refused = asked(&cluster, begin, identity.name())?;
    let refused = refused.iter().filter(|event| event.lacked_the_right());
    let refused: Vec<_> = refused.map(|event| &event.request_uri).collect();
    ensure!(refused.is_empty(), "a right is missing: {refused:#?}");

    bring(&ns, plain("one"), "Idle").await?;
    bring(&ns, dedicated("hot", "acme"), "Hot").await?;
    bring(&ns, with_annotation("slow", annotation::STOP_DELAY, "2s"), "Idle").await?;
    let gone = end(&ns).await?;
    await_gone(&ns.cluster_api(), &gone).await?;
    bring(&other, plain("after"), "Idle").await?;
    other.await_object::<DuckWorker>("before", "still Idle", is("Idle")).await?;
    controller.stop().await
}

/// The same while the controller itself is started anew: it has nothing to go by but what the
/// cluster-wide role lets it see, and needs all of that.
#[tokio::test]
async fn a_watched_namespace_ends_though_its_controller_starts_without_rights() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    install(&cluster).await?;
    let (first, identity) = replica(&cluster, "first", &FLAGS).await?;
    let ns = namespace(&cluster, WATCHED)?;
    bring(&ns, plain("one"), "Idle").await?;
    bring(&ns, dedicated("hot", "acme"), "Hot").await?;
    let slow = with_annotation("slow", annotation::STOP_DELAY, "10s");
    bring(&ns, slow, "Idle").await?;
    first.component().kill()?;
    let gone = end(&ns).await?;
    let told = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    ns.await_object::<Pod>("slow", "told to stop", told).await?;
    let begin = cluster.audit().mark()?;
    let (second, _) = replica(&cluster, "second", &FLAGS).await?;
    await_gone(&ns.cluster_api(), &gone).await?;
    second.stop().await?;
    let events = asked(&cluster, begin, identity.name())?;
    let unused = unused(&cluster, &events).await?;
    ensure!(unused.is_empty(), "never used: {unused:#?}");
    Ok(())
}

/// What the cluster-wide role grants and nobody took. Three rights are not to be seen here: what a
/// policy asks about when our finalizer goes is no request of its own, a worker is read again only where
/// the answer to a write was lost, and a pod is deleted by us only where Kubernetes' own deletion of the
/// namespace does not get to it: first, or on a node that is gone.
async fn unused(cluster: &Cluster, events: &[AuditEvent]) -> Result<BTreeSet<(String, String)>> {
    let roles: Api<ClusterRole> = Api::all(cluster.client()?);
    let role = roles.get("duckworker-namespace-deletion").await?;
    let mut unused = BTreeSet::new();
    for rule in role.rules.context("rules")? {
        for resource in rule.resources.iter().flatten() {
            unused.extend(rule.verbs.iter().map(|verb| (verb.clone(), resource.clone())));
        }
    }
    let unseen = [("update", "duckworkers/finalizers"), ("get", "duckworkers"), ("delete", "pods")];
    for (verb, resource) in unseen {
        unused.remove(&(verb.to_owned(), resource.to_owned()));
    }
    for event in events.iter().filter(|event| !event.lacked_the_right()) {
        unused.remove(&(event.verb.clone(), event.resource()));
    }
    Ok(unused)
}
