//! The product as a user installs it: `crds/` and `config/` applied as they are, the controller in
//! pods of a Deployment, with its own service account, probes, policies and disruption budget. Its
//! replicas are killed and rolled while a worker answers a long query.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerStatus};
use duckworker_e2e::install::project_root;
use duckworker_e2e::real::stub::{LongQuery, containers};
use duckworker_e2e::real::{Ran, images};
use duckworker_e2e::scenario::{await_nothing_left, status};
use duckworker_e2e::worker::is;
use duckworker_e2e::{
    Cluster, ClusterOptions, TestNamespace, await_gone, await_list, await_object, pod_is_ready,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, EvictParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// Where `config/` puts the controller, and what it is called.
const HOME: &str = "duckworker-system";
const NAME: &str = "duckworker";
/// The worker of `config/samples/worker-plain.yaml`, and its image.
const WORKER: &str = "sample-plain";
const WORKER_IMAGE: &str = "ghcr.io/duckworker/worker:0.1.0";

#[tokio::test]
async fn a_worker_is_not_disturbed_by_what_befalls_the_controller() -> Result<Ran> {
    Ran::if_possible(async || {
        let options = ClusterOptions { simulated_nodes: 0, real_node: true, ..Default::default() };
        let cluster = Cluster::start(options).await?;
        install(&cluster).await?;
        cluster.with_namespace("installed", async |ns| Box::pin(story(ns)).await).await
    })
    .await
}

/// What a user does, with the images that a registry would have.
async fn install(cluster: &Cluster) -> Result<()> {
    let node = cluster.real_node()?;
    let took = node.load(&images::controller().await?).await?;
    eprintln!("image of the controller: {} ms", took.as_millis());
    node.load(&images::stub_as(WORKER_IMAGE).await?).await?;
    cluster.install_crds().await?;
    let config = project_root().join("config/default");
    let started = Instant::now();
    cluster.kubectl(&["apply", "-k", &config.to_string_lossy()]).await?.ok()?;
    await_object(&home::<Deployment>(cluster)?, NAME, "available", |deployment: &Deployment| {
        let status = deployment.status.as_ref();
        status.and_then(|status| status.available_replicas) == Some(2)
    })
    .await?;
    eprintln!("two replicas are available after {} ms", started.elapsed().as_millis());
    Ok(())
}

async fn story(ns: &TestNamespace<'_>) -> Result<()> {
    let created = worker_of_a_user(ns).await?;
    let idle: DuckWorker = ns.await_object(WORKER, "Idle", is("Idle")).await?;
    let pod = ns.api::<Pod>().get(WORKER).await?;
    let query = LongQuery::begin(&pod).await?;

    let after_crash = after(ns, &idle, "a replica's process is killed", async |replica| {
        let process = ns.cluster.real_node()?.processes(&containers(replica)[0])?;
        let process = process.first().context("no process")?;
        Ok(kill_process(Pid::from_raw((*process).try_into()?).context("no id")?, Signal::KILL)?)
    })
    .await?;
    both_ready(ns.cluster).await?;
    let after_kill =
        after(ns, &after_crash, "a replica's pod is deleted by force", async |replica| {
            let now = DeleteParams::default().grace_period(0);
            home::<Pod>(ns.cluster)?.delete(&replica.name_any(), &now).await?;
            Ok(())
        })
        .await?;
    both_ready(ns.cluster).await?;
    let after_roll = after(ns, &after_kill, "the Deployment is rolled", async |_| {
        let deployment = format!("deployment/{NAME}");
        let restart = ["--namespace", HOME, "rollout", "restart", &deployment];
        ns.cluster.kubectl(&restart).await?.ok()?;
        let wait = ["--namespace", HOME, "rollout", "status", &deployment, "--timeout=60s"];
        ns.cluster.kubectl(&wait).await?.ok().map(drop)
    })
    .await?;
    budget_is_kept(ns.cluster).await?;

    query.end().await?;
    let last = ns.api::<Pod>().get(WORKER).await?;
    ensure!(last.uid() == pod.uid(), "the worker's pod was replaced");
    ensure!(status(&after_roll)?.transitions[0].name == "adopt", "nothing but adoptions");
    both_ready(ns.cluster).await?;
    ns.api::<DuckWorker>().delete(WORKER, &DeleteParams::default()).await?;
    await_gone(&ns.api(), &created).await?;
    await_nothing_left(ns).await?;
    ns.cluster.real_node()?.await_ended(&containers(&pod)).await
}

/// Applies the sample as a plain user who may edit a restricted namespace.
async fn worker_of_a_user(ns: &TestNamespace<'_>) -> Result<DuckWorker> {
    let enforce = json!({ "metadata": { "labels": {
        "pod-security.kubernetes.io/enforce": "restricted"
    } } });
    let namespaces = ns.cluster_api::<Namespace>();
    namespaces.patch(&ns.name, &PatchParams::default(), &Patch::Merge(&enforce)).await?;
    ns.create::<RoleBinding>(json!({
        "metadata": { "name": "alice" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice" }],
    }))
    .await?;
    let sample = project_root().join("config/samples/worker-plain.yaml");
    let apply = ["--namespace", &ns.name, "apply", "-f", &sample.to_string_lossy()];
    let alice = ns.cluster.user("alice")?;
    ns.cluster.kubectl_as(alice, &apply, "").await?.ok()?;
    Ok(ns.api::<DuckWorker>().get(WORKER).await?)
}

/// Does something to the replica that owns the worker, and waits until another instance has
/// adopted it: one epoch later or more, in the same state, with the same pod.
async fn after(
    ns: &TestNamespace<'_>,
    before: &DuckWorker,
    what: &str,
    deed: impl AsyncFnOnce(&Pod) -> Result<()>,
) -> Result<DuckWorker> {
    let before = status(before)?.clone();
    let owner = before.owner.clone().context("nobody owns the worker")?;
    let replica = replica_of(ns.cluster, &owner).await?;
    let began = Instant::now();
    deed(&replica).await?;
    let adopted = |worker: &DuckWorker| {
        let new_owner = |status: &DuckWorkerStatus| status.owner.as_ref() != Some(&owner);
        worker.status.as_ref().is_some_and(new_owner)
    };
    let worker: DuckWorker = ns.await_object(WORKER, "adopted", adopted).await?;
    eprintln!("{what}: adopted {} ms after it began", began.elapsed().as_millis());
    let now = status(&worker)?;
    ensure!(now.owner_epoch > before.owner_epoch && now.state == before.state, "{now:?}");
    ensure!(now.pod.as_ref().map(|pod| &pod.uid) == before.pod.as_ref().map(|pod| &pod.uid));
    replica_of(ns.cluster, now.owner.as_deref().unwrap_or_default()).await?;
    Ok(worker)
}

/// The pod of an owner, which the API server vouches for: `<pod>.<start of its uid>.<incarnation>`.
async fn replica_of(cluster: &Cluster, owner: &str) -> Result<Pod> {
    let (name, rest) = owner.split_once('.').context("the owner is no pod")?;
    let pod = home::<Pod>(cluster)?.get(name).await.with_context(|| format!("owner {owner}"))?;
    let uid = pod.uid().unwrap_or_default();
    ensure!(rest.starts_with(&uid[..8]), "{owner} is not the pod of uid {uid}");
    Ok(pod)
}

/// Of two replicas one may be evicted, and the other not before there is a third.
async fn budget_is_kept(cluster: &Cluster) -> Result<()> {
    let pods = both_ready(cluster).await?;
    let budget = |budget: &PodDisruptionBudget| {
        let status = budget.status.as_ref();
        status.is_some_and(|s| s.current_healthy == Some(2) && s.disruptions_allowed == Some(1))
    };
    await_object(&home(cluster)?, NAME, "allowing one disruption", budget).await?;
    // A refusal "for now" is otherwise asked again until it is none.
    let mut config = cluster.config()?;
    config.default_retry = false;
    let api: Api<Pod> = Api::namespaced(Client::try_from(config)?, HOME);
    api.evict(&pods[0].name_any(), &EvictParams::default()).await?;
    let second = api.evict(&pods[1].name_any(), &EvictParams::default()).await;
    match second {
        Err(kube::Error::Api(refusal)) if refusal.code == 429 => Ok(()),
        other => anyhow::bail!("the second eviction was not refused: {other:?}"),
    }
}

/// Waits until there are just two replicas, and both are ready.
async fn both_ready(cluster: &Cluster) -> Result<Vec<Pod>> {
    let ours = watcher::Config::default().labels("app.kubernetes.io/name=duckworker");
    let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none() && pod_is_ready(pod);
    let two = |pods: &[Pod]| pods.len() == 2 && pods.iter().all(stays);
    await_list(&home::<Pod>(cluster)?, &ours, "two and ready", two).await
}

/// The objects of a kind in the controller's namespace.
fn home<K>(cluster: &Cluster) -> Result<Api<K>>
where
    K: kube::Resource<DynamicType: Default, Scope = k8s_openapi::NamespaceResourceScope>,
{
    Ok(Api::namespaced(cluster.client()?, HOME))
}
