//! The network policies of `config/network` are taken by the API server, and mean what they should: by
//! the pods that the controller makes, its own, and those of others.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerPool};
use duckworker_e2e::TestNamespace;
use duckworker_e2e::install::project_root;
use duckworker_e2e::pool::{await_count, pool};
use duckworker_e2e::scenario::{bring, controller, scenario};
use duckworker_e2e::worker::plain;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::core::Selector;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::reach::{self, End, Port, address, reaches, tcp};

const CLIENT: (&str, &str) = ("duckworker.dev/client", "true");
const CONTROLLER: (&str, &str) = ("app.kubernetes.io/name", "duckworker");
const FLIGHT: i32 = 8816;

/// Applies one of the folders, and returns all policies of the namespace.
async fn applied(ns: &TestNamespace<'_>, folder: &str) -> Result<Vec<NetworkPolicy>> {
    let folder = project_root().join("config/network").join(folder);
    ns.kubectl(&["apply", "-k", &folder.to_string_lossy()]).await?.ok()?;
    Ok(ns.api::<NetworkPolicy>().list(&ListParams::default()).await?.items)
}

/// A namespace, with the label that every API server gives it.
fn namespace(name: &str, labels: &[(&str, &str)]) -> Namespace {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    let own = ("kubernetes.io/metadata.name", name);
    let labels = labels.iter().copied().chain([own]);
    namespace.labels_mut().extend(labels.map(|(k, v)| (k.to_owned(), v.to_owned())));
    namespace
}

async fn home(ns: &TestNamespace<'_>) -> Result<Namespace> {
    Ok(Api::<Namespace>::all(ns.client.clone()).get(&ns.name).await?)
}

/// The pods of workers as the controller makes them: of a pool, of one with another port, and of one
/// without a pool.
async fn worker_pods(ns: &TestNamespace<'_>) -> Result<Vec<Pod>> {
    let mut elsewhere = pool("q", 1, 5);
    elsewhere["spec"]["template"]["spec"]["connection"]["port"] = json!(9000);
    ns.create::<DuckWorkerPool>(pool("p", 1, 5)).await?;
    ns.create::<DuckWorkerPool>(elsewhere).await?;
    let mut workers: Vec<DuckWorker> = await_count(ns, "p", "Idle", 1).await?;
    workers.extend(await_count(ns, "q", "Idle", 1).await?);
    workers.push(bring(ns, plain("alone"), "Idle").await?);
    let mut pods = Vec::new();
    for worker in workers {
        pods.push(ns.api::<Pod>().get(&worker.name_any()).await?);
    }
    Ok(pods)
}

/// The port that a worker's pod serves on.
fn port_of(pod: &Pod) -> Result<Port> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    Ok(tcp(ports.next().context("a worker without a port")?.container_port))
}

/// A pod of the controller, as its Deployment makes it.
async fn controller_pod(ns: &TestNamespace<'_>) -> Result<End> {
    let file = project_root().join("config/controller/deployment.yaml");
    let dry_run = ["apply", "--dry-run=client", "-o", "json", "-f"];
    let shown = ns.cluster.kubectl(&[&dry_run[..], &[&file.to_string_lossy()]].concat()).await?;
    let deployment: Deployment = serde_json::from_str(&shown.ok()?)?;
    let home = deployment.metadata.namespace.context("a Deployment without a namespace")?;
    let template = deployment.spec.context("a Deployment without a spec")?.template;
    let mut metadata = template.metadata.context("a template without labels")?;
    metadata.namespace = Some(home.clone());
    let pod = Pod { metadata, spec: template.spec, status: None };
    Ok(End::Pod(Box::new(pod), Box::new(namespace(&home, &[]))))
}

#[tokio::test]
async fn network_policies_select_the_pods_of_workers() -> Result<()> {
    scenario("network", async |ns| {
        let _controller = controller(ns)?;
        let policies = applied(ns, "open-egress").await?;
        let mut names: Vec<String> = worker_pods(ns).await?.iter().map(Pod::name_any).collect();
        names.sort();
        let stranger = json!({
            "metadata": { "name": "stranger", "labels": { "duckworker.dev/client": "true" } },
            "spec": { "containers": [{ "name": "c", "image": "example.invalid/c:1" }] },
        });
        ns.create::<Pod>(stranger).await?;
        ensure!(policies.len() == 3, "{} policies", policies.len());
        for policy in &policies {
            let spec = policy.spec.as_ref().context("a policy without a spec")?;
            let selector: Selector = spec.pod_selector.clone().unwrap_or_default().try_into()?;
            // By the API server's own judgement.
            let selected = ListParams::default().labels_from(&selector);
            let list = ns.api::<Pod>().list(&selected).await?;
            let mut chosen: Vec<String> = list.items.iter().map(Pod::name_any).collect();
            chosen.sort();
            ensure!(chosen == names, "{} selects {chosen:?}", policy.name_any());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn network_policies_let_in_the_controller_and_clients_and_nobody_else() -> Result<()> {
    scenario("network-in", async |ns| {
        let _controller = controller(ns)?;
        let policies = applied(ns, "default").await?;
        let (home, workers) = (home(ns).await?, worker_pods(ns).await?);
        let controller = controller_pod(ns).await?;
        let End::Pod(_, system) = &controller else { anyhow::bail!("no pod") };
        let (far, friends) = (namespace("far", &[]), namespace("friends", &[CLIENT]));
        let fellow = End::Pod(Box::new(workers[0].clone()), Box::new(home.clone()));
        let who = [
            ("the controller", controller.clone(), true),
            ("a client beside it", reach::pod(&[CLIENT], &home), true),
            ("any pod of a client namespace", reach::pod(&[], &friends), true),
            ("a stranger beside it", reach::pod(&[("app", "web")], &home), false),
            ("another worker", fellow, false),
            ("a client of a namespace that is none", reach::pod(&[CLIENT], &far), false),
            ("who calls himself controller", reach::pod(&[CONTROLLER], &home), false),
            ("the same elsewhere", reach::pod(&[CONTROLLER], &far), false),
            ("another pod beside the controller", reach::pod(&[], system), false),
            ("the world", address("203.0.113.7")?, false),
        ];
        for worker in &workers {
            let (port, name) = (port_of(worker)?, worker.name_any());
            let to = End::Pod(Box::new(worker.clone()), Box::new(home.clone()));
            for (from, end, expected) in &who {
                let found = reaches(&policies, end, &to, port)?;
                ensure!(found == *expected, "{from} reaches {name}: {found}");
                ensure!(!reaches(&policies, end, &to, tcp(8080))?, "{from} has another port");
            }
        }
        ensure!(port_of(&workers[0])?.number == FLIGHT && port_of(&workers[1])?.number == 9000);
        // Nobody else's pods are fenced off.
        let stranger = reach::pod(&[("app", "web")], &home);
        ensure!(reaches(&policies, &address("203.0.113.7")?, &stranger, tcp(80))?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn network_policies_let_workers_out_to_names_and_by_choice_to_the_world() -> Result<()> {
    scenario("network-out", async |ns| {
        let _controller = controller(ns)?;
        let (home, workers) = (home(ns).await?, worker_pods(ns).await?);
        let worker = End::Pod(Box::new(workers[0].clone()), Box::new(home.clone()));
        let controller = controller_pod(ns).await?;
        let dns = reach::pod(&[("k8s-app", "kube-dns")], &namespace("kube-system", &[]));
        let udp = Port { protocol: "UDP", number: 53 };
        let metadata = [("169.254.169.254", 80), ("fd00:ec2::254", 80), ("fe80::1", 80)];
        for (folder, world) in [("default", false), ("open-egress", true)] {
            let policies = applied(ns, folder).await?;
            let out = |to: &End, port| reaches(&policies, &worker, to, port);
            ensure!(out(&dns, udp)? && out(&dns, tcp(53))?, "{folder}: no names");
            ensure!(!out(&dns, tcp(443))? && !out(&controller, tcp(8080))?, "{folder}");
            for store in ["203.0.113.7", "2001:db8::7"] {
                ensure!(out(&address(store)?, tcp(443))? == world, "{folder}: {store}");
            }
            for (service, port) in metadata {
                ensure!(!out(&address(service)?, tcp(port))?, "{folder}: {service}");
            }
            let stranger = reach::pod(&[("app", "web")], &home);
            ensure!(reaches(&policies, &stranger, &address("203.0.113.7")?, tcp(443))?);
        }
        Ok(())
    })
    .await
}
