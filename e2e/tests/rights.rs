//! The rights in `config/` are what the controller needs, and no more.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool, labels};
use duckworker_e2e::claim::{bind, claim};
use duckworker_e2e::install::{SYSTEM, project_root, replica};
use duckworker_e2e::pool::{await_count, change, late_creation, pool, workers_of};
use duckworker_e2e::scenario::{await_event, bring, condition, forbid_pods};
use duckworker_e2e::worker::{dedicated, is, plain, with_annotation};
use duckworker_e2e::{
    Cluster, ClusterOptions, TestNamespace, annotation, await_gone, await_list, node,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use kube::runtime::watcher;
use serde_json::json;

/// A janitor in a hurry.
const JANITOR: [&str; 4] = ["--janitor-interval", "500ms", "--stranded-grace", "1s"];

/// A verb on a resource.
type Right = (String, String);

/// Installs the folders of `config/` that say who may do what.
async fn install(cluster: &Cluster) -> Result<()> {
    cluster.install_crds().await?;
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": SYSTEM } });
    cluster.kubectl_apply_str(&namespace.to_string()).await?.ok()?;
    let rights = project_root().join("config/rbac");
    cluster.kubectl(&["apply", "-k", &rights.to_string_lossy()]).await?.ok()?;
    Ok(())
}

/// What the roles that the controller is bound to grant it.
async fn granted(cluster: &Cluster) -> Result<BTreeSet<Right>> {
    let client = cluster.client()?;
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let mut grants = Vec::new();
    for name in ["duckworker-controller", "duckworker-cluster"] {
        grants.extend(roles.get(name).await?.rules.unwrap_or_default());
    }
    let roles: Api<Role> = Api::namespaced(client, SYSTEM);
    grants.extend(roles.get("duckworker-instances").await?.rules.unwrap_or_default());
    let of_rule = |rule: &PolicyRule| -> Vec<Right> {
        let resources = rule.resources.clone().unwrap_or_default();
        let on = |verb: &String| {
            let verb = verb.clone();
            resources.clone().into_iter().map(move |resource| (verb.clone(), resource))
        };
        rule.verbs.iter().flat_map(on).collect()
    };
    Ok(grants.iter().flat_map(of_rule).collect())
}

/// A life without trouble, and three with: spawn, activation, drain, loss, deletion after a time.
async fn live(ns: &TestNamespace<'_>) -> Result<()> {
    let idle = bring(ns, plain("idle"), "Idle").await?;
    bring(ns, dedicated("hot", "acme"), "Hot").await?;
    ns.api::<Secret>().delete("hot-rpc", &DeleteParams::default()).await?;
    await_event(ns, "hot", "SecretLost").await?;
    let mut brief = plain("brief");
    brief["spec"]["ttlSecondsAfterFinished"] = json!(0);
    let brief = bring(ns, brief, "Idle").await?;
    ns.api::<Pod>().delete("brief", &DeleteParams::default().grace_period(0)).await?;
    await_gone(&ns.api(), &brief).await?;
    ns.api::<DuckWorker>().delete("idle", &DeleteParams::default()).await?;
    await_gone(&ns.api(), &idle).await
}

/// What must be read again before it is believed: a secret without a worker, a pod without a node.
async fn strays(ns: &TestNamespace<'_>) -> Result<()> {
    let uid = "00000000-0000-4000-8000-000000000000";
    let stray = json!({
        "metadata": { "name": "ghost-rpc", "labels": {
            labels::WORKER_NAME: "ghost", labels::WORKER_UID: uid } },
        "immutable": true, "stringData": { labels::UID_KEY: uid },
    });
    let stray: Secret = ns.create(stray).await?;
    node::create_simulated_node(ns.client.clone(), "doomed").await?;
    let mut worker = with_annotation("w1", annotation::STOP_DELAY, "1h");
    worker["spec"]["template"]["spec"]["nodeSelector"] =
        json!({ "kubernetes.io/hostname": "doomed" });
    let worker = bring(ns, worker, "Idle").await?;
    ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
    ns.await_object::<DuckWorker>("w1", "Draining", is("Draining")).await?;
    node::delete_node(ns.client.clone(), "doomed").await?;
    await_gone(&ns.api(), &worker).await?;
    await_gone(&ns.api(), &stray).await
}

/// A tenant with a cap, a pool that lets idle pods be evicted from some day on, a claim that is bound
/// and given up, and a worker that a sleeping leader created late.
async fn pools(ns: &TestNamespace<'_>) -> Result<()> {
    let capped = json!({ "metadata": { "name": "acme" }, "spec": { "maxWorkers": 3 } });
    ns.create::<DuckTenant>(capped).await?;
    ns.create::<DuckWorkerPool>(pool("p", 1, 5)).await?;
    let idle = await_count(ns, "p", "Idle", 1).await?;
    bind(ns, claim("c", "p", "acme")).await?;
    ns.api::<DuckWorkerClaim>().delete("c", &DeleteParams::default()).await?;
    await_count(ns, "p", "HotIdle", 1).await?;
    change(ns, "p", json!({ "spec": { "disruption": "AllowIdle" } })).await?;
    let marked = |pod: &Pod| pod.labels().contains_key(labels::BUSY);
    ns.await_object(&idle[0].name_any(), "marked", marked).await?;
    let gone: DuckWorker = ns.api().get(&idle[0].name_any()).await?;
    ns.api::<DuckWorker>().delete(&gone.name_any(), &DeleteParams::default()).await?;
    await_gone(&ns.api(), &gone).await?;
    let late = late_creation(ns, &gone, &gone.name_any()).await?;
    await_gone(&ns.api(), &late).await?;
    end_pool(ns, "p").await
}

async fn end_pool(ns: &TestNamespace<'_>, name: &str) -> Result<()> {
    let pool: DuckWorkerPool = ns.api().get(name).await?;
    ns.api::<DuckWorkerPool>().delete(name, &DeleteParams::default()).await?;
    await_gone(&ns.api(), &pool).await?;
    await_list(&ns.api::<DuckWorker>(), &workers_of(name), "gone", <[_]>::is_empty).await?;
    Ok(())
}

/// The same trouble twice: its Event is written again.
async fn trouble(ns: &TestNamespace<'_>) -> Result<()> {
    let told = |quota: &'static str| {
        move |worker: &DuckWorker| {
            condition(worker, "PodBlocked").is_some_and(|c| c.message.contains(quota))
        }
    };
    forbid_pods(ns, "first-quota").await?;
    ns.create::<DuckWorker>(plain("blocked")).await?;
    ns.await_object("blocked", "blocked", told("first-quota")).await?;
    forbid_pods(ns, "other-quota").await?;
    ns.api::<ResourceQuota>().delete("first-quota", &DeleteParams::default()).await?;
    ns.await_object("blocked", "blocked by another", told("other-quota")).await?;
    ns.api::<DuckWorker>().delete("blocked", &DeleteParams::default()).await?;
    ns.api::<ResourceQuota>().delete("other-quota", &DeleteParams::default()).await?;
    Ok(())
}

#[tokio::test]
async fn the_verbs_used_are_the_verbs_granted() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    install(&cluster).await?;
    let begin = cluster.audit().mark()?;
    let (first, identity) = replica(&cluster, "first", &JANITOR).await?;
    cluster
        .with_namespace("rights", async |ns| {
            live(ns).await?;
            strays(ns).await?;
            trouble(ns).await?;
            pools(ns).await?;
            let left = bring(ns, plain("left"), "Idle").await?;
            ns.create::<DuckWorkerPool>(pool("q", 1, 5)).await?;
            bind(ns, claim("unwatched", "q", "acme")).await?;
            // One dies; another marks it and adopts.
            first.component().kill()?;
            ns.api::<DuckWorkerClaim>().delete("unwatched", &DeleteParams::default()).await?;
            let (second, _) = replica(&cluster, "second", &JANITOR).await?;
            let adopted =
                |w: &DuckWorker| w.status.as_ref().is_some_and(|s| s.owner_epoch == Some(2));
            ns.await_object::<DuckWorker>("left", "adopted", adopted).await?;
            ns.await_object::<DuckWorker>("left", "Idle", is("Idle")).await?;
            ns.api::<DuckWorker>().delete("left", &DeleteParams::default()).await?;
            await_gone(&ns.api(), &left).await?;
            // Nobody watched the claim go, so whether it did must be read.
            await_count(ns, "q", "HotIdle", 1).await?;
            end_pool(ns, "q").await?;
            let leases: Api<Lease> = Api::namespaced(ns.client.clone(), SYSTEM);
            let before = leases.list(&ListParams::default()).await?.items.len();
            second.stop().await?;
            let fewer = |leases: &[Lease]| leases.len() < before;
            await_list(&leases, &watcher::Config::default(), "fewer", fewer).await?;
            Ok(())
        })
        .await?;
    let events = cluster.audit().since(begin)?;
    let ours: Vec<_> = events.iter().filter(|e| e.user.username == identity.name()).collect();
    let refused: Vec<_> = ours
        .iter()
        .filter(|event| event.lacked_the_right())
        .map(|event| format!("{} {}", event.verb, event.request_uri))
        .collect();
    ensure!(refused.is_empty(), "a right is missing: {refused:#?}");
    let mut used: BTreeSet<Right> = ours
        .iter()
        .map(|event| (event.verb.clone(), event.resource()))
        .filter(|(_, resource)| !resource.is_empty() && resource != "selfsubjectreviews")
        .collect();
    // Asked about by the API server when we set blockOwnerDeletion; no request of its own.
    used.insert(("update".to_owned(), "duckworkers/finalizers".to_owned()));
    used.insert(("update".to_owned(), "duckworkerpools/finalizers".to_owned()));
    let granted = granted(&cluster).await.context("the roles of config/")?;
    let unused: Vec<_> = granted.difference(&used).collect();
    let missing: Vec<_> = used.difference(&granted).collect();
    ensure!(missing.is_empty(), "not granted: {missing:#?}");
    ensure!(unused.is_empty(), "never used: {unused:#?}");
    Ok(())
}
