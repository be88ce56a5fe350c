//! The network policies of `config/network` are taken by the API server, and they select the pods of
//! workers, the controller and nothing else.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorkerPool;
use duckworker_e2e::install::project_root;
use duckworker_e2e::pool::{await_count, pool};
use duckworker_e2e::scenario::{controller, scenario};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerPort, Pod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::Selector;
use serde_json::json;

/// The pods of the namespace that a selector selects, by the API server's own judgement.
async fn selected(
    ns: &duckworker_e2e::TestNamespace<'_>,
    selector: &LabelSelector,
) -> Result<Vec<String>> {
    let selector: Selector = selector.clone().try_into()?;
    let list = ns.api::<Pod>().list(&ListParams::default().labels_from(&selector)).await?;
    Ok(list.items.iter().map(Pod::name_any).collect())
}

fn rules(policy: &NetworkPolicy) -> Result<&[NetworkPolicyIngressRule]> {
    let spec = policy.spec.as_ref().context("a policy without a spec")?;
    spec.ingress.as_deref().context("a policy without rules")
}

/// Whether a rule lets somebody to this port of a pod.
fn opens(rule: &NetworkPolicyIngressRule, port: &ContainerPort) -> bool {
    let fits = |wanted: &IntOrString| match wanted {
        IntOrString::Int(number) => *number == port.container_port,
        IntOrString::String(name) => Some(name) == port.name.as_ref(),
    };
    rule.ports.iter().flatten().filter_map(|open| open.port.as_ref()).any(fits)
}

#[tokio::test]
async fn network_policies_select_the_pods_of_workers() -> Result<()> {
    scenario("network", async |ns| {
        let _controller = controller(ns)?;
        for folder in ["config/network/default", "config/network/open-egress"] {
            let folder = project_root().join(folder);
            ns.kubectl(&["apply", "-k", &folder.to_string_lossy()]).await?.ok()?;
        }
        let mut elsewhere = pool("q", 1, 5);
        elsewhere["spec"]["template"]["spec"]["connection"]["port"] = json!(9000);
        ns.create::<DuckWorkerPool>(pool("p", 1, 5)).await?;
        ns.create::<DuckWorkerPool>(elsewhere).await?;
        let mut workers = await_count(ns, "p", "Idle", 1).await?;
        workers.extend(await_count(ns, "q", "Idle", 1).await?);
        let stranger = json!({
            "metadata": { "name": "stranger", "labels": { "duckworker.dev/client": "true" } },
            "spec": { "containers": [{ "name": "c", "image": "example.invalid/c:1" }] },
        });
        ns.create::<Pod>(stranger).await?;
        let mut names: Vec<String> = workers.iter().map(ResourceExt::name_any).collect();
        names.sort();
        let policies = ns.api::<NetworkPolicy>().list(&ListParams::default()).await?.items;
        ensure!(policies.len() == 3, "{} policies", policies.len());
        for policy in &policies {
            let spec = policy.spec.as_ref().context("a policy without a spec")?;
            let selector = spec.pod_selector.clone().unwrap_or_default();
            let mut chosen = selected(ns, &selector).await?;
            chosen.sort();
            ensure!(chosen == names, "{} selects {chosen:?}", policy.name_any());
        }
        let ingress: NetworkPolicy = ns.api().get("duckworker-ingress").await?;
        for name in &names {
            let pod: Pod = ns.api().get(name).await?;
            let ports = pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|c| &c.ports);
            let port = ports.flatten().next().context("a worker without a port")?;
            ensure!(rules(&ingress)?.iter().all(|rule| opens(rule, port)), "{name}: {port:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn network_policies_let_the_controller_and_clients_in() -> Result<()> {
    scenario("network-clients", async |ns| {
        let folder = project_root().join("config/network/default");
        ns.kubectl(&["apply", "-k", &folder.to_string_lossy()]).await?.ok()?;
        let ingress: NetworkPolicy = ns.api().get("duckworker-ingress").await?;
        let folder = project_root().join("config/controller");
        let dry_run = ["apply", "--dry-run=client", "-o", "json", "-f"];
        let file = folder.join("deployment.yaml");
        let shown =
            ns.cluster.kubectl(&[&dry_run[..], &[&file.to_string_lossy()]].concat()).await?;
        let deployment: Deployment = serde_json::from_str(&shown.ok()?)?;
        let template = deployment.spec.context("a Deployment without a spec")?.template;
        let labels = template.metadata.and_then(|meta| meta.labels).unwrap_or_default();
        let home = deployment.metadata.namespace.context("a Deployment without a namespace")?;
        let from: Vec<_> = rules(&ingress)?.iter().flat_map(|r| &r.from).flatten().collect();
        let fits = |selector: Option<&LabelSelector>, key: &str, value: &str| {
            let labels = selector.and_then(|selector| selector.match_labels.as_ref());
            labels.is_some_and(|labels| labels.get(key).is_some_and(|found| found == value))
        };
        let controller = from.iter().any(|peer| {
            let pods = peer.pod_selector.as_ref().and_then(|s| s.match_labels.as_ref());
            let is_it = pods.is_some_and(|pods| pods.iter().all(|(k, v)| labels.get(k) == Some(v)));
            is_it && fits(peer.namespace_selector.as_ref(), "kubernetes.io/metadata.name", &home)
        });
        ensure!(controller, "the controller is kept out: {from:#?}");
        let client = "duckworker.dev/client";
        let near = from.iter().any(|peer| {
            peer.namespace_selector.is_none() && fits(peer.pod_selector.as_ref(), client, "true")
        });
        let far = from.iter().any(|peer| {
            peer.pod_selector.is_none() && fits(peer.namespace_selector.as_ref(), client, "true")
        });
        ensure!(near && far && from.len() == 3, "{from:#?}");
        Ok(())
    })
    .await
}
