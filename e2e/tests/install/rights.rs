//! The rights in `config/` are what the controller needs, and no more.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool, labels};
use duckworker_e2e::claim::{bind, claim};
use duckworker_e2e::install::{SYSTEM, project_root, replica};
use duckworker_e2e::pool::{await_count, change, late_creation, pool, workers_of};
use duckworker_e2e::scenario::{await_event, bring, condition, forbid_pods};
use duckworker_e2e::worker::{dedicated, is, plain, with_annotation};
use duckworker_e2e::{
    AuditEvent, Cluster, ClusterOptions, PATIENCE, TestNamespace, annotation, await_gone,
    await_list, node,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::json;

/// A janitor in a hurry.
const JANITOR: [&str; 4] = ["--janitor-interval", "500ms", "--stranded-grace", "1s"];

/// A verb on a resource of an API group.
type Right = (String, String, String);

/// Refuses who sets `blockOwnerDeletion` without the right to delay the owner's deletion, as many
/// clusters do. It is no request of its own, so no audit log shows that this right is used.
const OWNERS: &str = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement";
/// What our objects are owned by.
const OWNER_KINDS: [(&str, &str); 2] =
    [("DuckWorker", "duckworkers"), ("DuckWorkerPool", "duckworkerpools")];

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

/// The rules of the roles that the controller is bound to.
async fn rules(cluster: &Cluster) -> Result<Vec<PolicyRule>> {
    let client = cluster.client()?;
    let cluster_roles: Api<ClusterRole> = Api::all(client.clone());
    let mut all = Vec::new();
    for name in ["duckworker-controller", "duckworker-cluster"] {
        all.extend(cluster_roles.get(name).await?.rules.unwrap_or_default());
    }
    let of_instances = Api::<Role>::namespaced(client, SYSTEM).get("duckworker-instances").await?;
    all.extend(of_instances.rules.unwrap_or_default());
    Ok(all)
}

/// What they grant.
fn granted(rules: &[PolicyRule]) -> BTreeSet<Right> {
    let mut all = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                let right = |verb: &String| (verb.clone(), group.clone(), resource.clone());
                all.extend(rule.verbs.iter().map(right));
            }
        }
    }
    all
}

/// Rights that leave no request: each is taken away alone, and then a child of that owner can no
/// longer be made.
async fn needed_for_owners(ns: &TestNamespace<'_>) -> Result<BTreeSet<Right>> {
    let mut needed = BTreeSet::new();
    for (kind, resource) in OWNER_KINDS {
        let finalizers = format!("{resource}/finalizers");
        let mut rest = rules(ns.cluster).await?;
        for rule in &mut rest {
            rule.resources.iter_mut().for_each(|all| all.retain(|one| *one != finalizers));
        }
        rest.retain(|rule| rule.resources.as_ref().is_some_and(|all| !all.is_empty()));
        let name = format!("all-but-{resource}");
        let role = json!({ "metadata": { "name": name }, "rules": rest });
        ns.create::<Role>(role).await?;
        let user = format!("--user={name}");
        let role = format!("--role={name}");
        ns.kubectl(&["create", "rolebinding", &name, &role, &user]).await?.ok()?;
        let client = ns.cluster.user("admin")?.client_impersonating(&name, &[])?;
        let refusal = try_child(client, ns, kind).await?.context("it was not refused")?;
        ensure!(refusal.contains("can't set finalizers on"), "{refusal}");
        needed.insert(("update".to_owned(), "duckworker.dev".to_owned(), finalizers));
    }
    Ok(needed)
}

/// Tries to make a child of such an owner; the sentence of a refusal.
async fn try_child(client: Client, ns: &TestNamespace<'_>, kind: &str) -> Result<Option<String>> {
    let child = json!({ "metadata": { "name": "child", "ownerReferences": [{
        "apiVersion": "duckworker.dev/v1alpha1", "kind": kind, "name": "owner",
        "uid": "00000000-0000-4000-8000-000000000001", "blockOwnerDeletion": true }] } });
    let secrets: Api<Secret> = Api::namespaced(client, &ns.name);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match secrets.create(&dry_run, &serde_json::from_value(child)?).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Some(status.message)),
        Err(error) => Err(error.into()),
    }
}

/// The API server learns of new kinds of owners within half a minute, and until then refuses all.
async fn await_owners_known(ns: &TestNamespace<'_>) -> Result<()> {
    let known = async {
        for (kind, _) in OWNER_KINDS {
            while try_child(ns.client.clone(), ns, kind).await?.is_some() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, known).await.context("the API server knows no DuckWorker")?
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
    let api_server_flags = vec![OWNERS.to_owned()];
    let cluster = Cluster::start(ClusterOptions { api_server_flags, ..Default::default() }).await?;
    install(&cluster).await?;
    let for_owners = cluster
        .with_namespace("owners", async |ns| {
            await_owners_known(ns).await?;
            needed_for_owners(ns).await
        })
        .await?;
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
    let mut used: BTreeSet<Right> = ours.iter().filter_map(|event| right(event)).collect();
    used.extend(for_owners);
    let granted = granted(&rules(&cluster).await?);
    let unused: Vec<_> = granted.difference(&used).collect();
    let missing: Vec<_> = used.difference(&granted).collect();
    ensure!(missing.is_empty(), "not granted: {missing:#?}");
    ensure!(unused.is_empty(), "never used: {unused:#?}");
    Ok(())
}

/// What a request took, but for the question who one is, which is everybody's.
fn right(event: &AuditEvent) -> Option<Right> {
    let object = event.object_ref.as_ref()?;
    let right = (event.verb.clone(), object.api_group.clone(), event.resource());
    (right.2 != "selfsubjectreviews").then_some(right)
}
