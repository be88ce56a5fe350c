//! What the server's fences cost: the same PUT to the same kind in another group, which has no
//! rules and no policies.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use duckworker_core::{Tenant, Transition};
use duckworker_e2e::bench::figures::{median, millis};
use duckworker_e2e::bench::ground::{ACCOUNT, Ground, SYSTEM};
use duckworker_e2e::bench::idle::IdleWorkers;
use duckworker_e2e::bench::raw::{Put, RawWriter};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::core::Request;
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::{Value, json};

/// The group of the kind without fences.
const GROUP: &str = "unfenced.duckworker.dev";
/// How many pairs are measured; they take turns.
const PAIRS: usize = 600;

/// The difference of the medians, in milliseconds.
pub async fn cost(ground: &Ground, idle: &IdleWorkers<'_>) -> Result<f64> {
    install(ground).await?;
    let (writer, client) = (RawWriter::new(&ground.account).await?, ground.client()?);
    let claim = Transition::ClaimIdle { tenant: Tenant::new("acme")?, claim: None };
    let mut pairs = Vec::new();
    for worker in idle.make(PAIRS).await? {
        let body = writer.body(&worker, &claim)?;
        let twin = twin(&client, &worker, &body).await?;
        pairs.push((Put::new(&worker, body), twin));
    }
    let (mut fenced, mut free) = (Vec::new(), Vec::new());
    for (number, (with, without)) in pairs.iter().enumerate() {
        if number % 2 == 0 {
            fenced.push(timed(writer.send(with)).await?);
            free.push(timed(without.send(&client)).await?);
        } else {
            free.push(timed(without.send(&client)).await?);
            fenced.push(timed(writer.send(with)).await?);
        }
    }
    Ok(millis(median(&fenced)) - millis(median(&free)))
}

async fn timed(work: impl Future<Output = Result<()>>) -> Result<Duration> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed())
}

/// A status write to the kind without fences.
struct Twin {
    url: String,
    name: String,
    body: Vec<u8>,
}

impl Twin {
    async fn send(&self, client: &Client) -> Result<()> {
        let (params, body) = (PostParams::default(), self.body.clone());
        let request = Request::new(&*self.url);
        let request = request.replace_subresource("status", &self.name, &params, body)?;
        client.request_text(request).await?;
        Ok(())
    }
}

/// The same worker in the other group with the same status, and the same write over it.
async fn twin(client: &Client, worker: &DuckWorker, body: &[u8]) -> Result<Twin> {
    let kind = kind();
    let namespace = worker.namespace().context("a worker without a namespace")?;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind);
    let (name, params) = (worker.name_any(), PostParams::default());
    let object = DynamicObject::new(&name, &kind).data(json!({ "spec": worker.spec }));
    let created = api.create(&params, &object).await?;
    let url = DynamicObject::url_path(&kind, Some(&namespace));
    let mut write: Value = serde_json::from_slice(body)?;
    write["apiVersion"] = json!(kind.api_version);
    let over = |object: &DynamicObject, status: Value| -> Result<Twin> {
        let mut write = write.clone();
        write["metadata"]["uid"] = json!(object.uid());
        write["metadata"]["resourceVersion"] = json!(object.resource_version());
        write["status"] = status;
        let (url, name) = (url.clone(), name.clone());
        Ok(Twin { url, name, body: serde_json::to_vec(&write)? })
    };
    over(&created, serde_json::to_value(&worker.status)?)?.send(client).await?;
    over(&api.get(&name).await?, write["status"].clone())
}

fn kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(GROUP, "v1alpha1", "DuckWorker"),
        "duckworkers",
    )
}

/// Installs the same kind in another group: same schema, no rules; the policies do not match it.
async fn install(ground: &Ground) -> Result<()> {
    let admin = ground.cluster.client()?;
    let definitions: Api<CustomResourceDefinition> = Api::all(admin);
    let name = |group: &str| format!("duckworkers.{group}");
    let fenced = definitions.get(&name(&DuckWorker::group(&()))).await?;
    let mut free = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": name(GROUP) },
        "spec": fenced.spec,
    });
    free["spec"]["group"] = json!(GROUP);
    free["spec"]["names"]["shortNames"] = json!([]);
    free["spec"]["names"]["categories"] = json!([]);
    strip_rules(&mut free);
    definitions.create(&PostParams::default(), &serde_json::from_value(free)?).await?;
    let name = name(GROUP);
    await_condition(definitions, &name, conditions::is_crd_established()).await?;
    let yaml = rights().to_string();
    ground.cluster.kubectl_apply_str(&yaml).await?.ok()?;
    Ok(())
}

/// The controller's rights to the other group.
fn rights() -> Value {
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "unfenced" });
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
          "metadata": { "name": "unfenced" },
          "rules": [{ "apiGroups": [GROUP], "resources": ["*"], "verbs": ["*"] }] },
        { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
          "metadata": { "name": "unfenced" }, "roleRef": role,
          "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM }] },
    ] })
}

fn strip_rules(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("x-kubernetes-validations");
            members.values_mut().for_each(strip_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_rules),
        _ => {}
    }
}
