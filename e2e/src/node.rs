//! Simulated nodes of a running cluster.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{
    kwok::SIMULATED_NODE,
    wait::{await_gone, await_object},
};

/// Makes a simulated node, large enough for any test, and waits until pods can run on it.
pub async fn create_simulated_node(client: Client, name: &str) -> Result<Node> {
    let nodes: Api<Node> = Api::all(client);
    let (label, value) = SIMULATED_NODE;
    let room = json!({"cpu": "100k", "memory": "100Ti", "pods": "100000"});
    let node = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": {label: value, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "status": {"capacity": room, "allocatable": room},
    }))?;
    nodes
        .create(&PostParams::default(), &node)
        .await
        .with_context(|| format!("cannot create the simulated node {name}"))?;
    await_object(&nodes, name, "Ready and without taints", is_usable).await
}

/// Keeps pods off a node that do not ask for a simulated one: beside a real node.
pub(crate) async fn set_aside(client: Client, name: &str) -> Result<()> {
    let nodes: Api<Node> = Api::all(client);
    let (key, value) = SIMULATED_NODE;
    let taint = json!({ "spec": { "taints": [
        { "key": key, "value": value, "effect": "NoSchedule" }
    ] } });
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(&taint)).await?;
    Ok(())
}

/// Keeps new pods off a node.
pub async fn cordon(client: Client, name: &str) -> Result<()> {
    let nodes: Api<Node> = Api::all(client);
    nodes.cordon(name).await.with_context(|| format!("cannot cordon the node {name}"))?;
    Ok(())
}

/// Lets new pods on a node again.
pub async fn uncordon(client: Client, name: &str) -> Result<()> {
    let nodes: Api<Node> = Api::all(client);
    nodes.uncordon(name).await.with_context(|| format!("cannot uncordon the node {name}"))?;
    Ok(())
}

/// Deletes a node object and waits until it is gone. Its pods are collected some 40 s later.
pub async fn delete_node(client: Client, name: &str) -> Result<()> {
    let nodes: Api<Node> = Api::all(client);
    let node = nodes.get(name).await.with_context(|| format!("no node {name}"))?;
    nodes.delete(name, &DeleteParams::default()).await?;
    await_gone(&nodes, &node).await
}

/// Waits until pods can be created in a namespace: they need its default service account.
pub(crate) async fn await_service_account(client: &Client, namespace: &str) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    await_object(&accounts, "default", "there", |_| true).await?;
    Ok(())
}

/// Whether pods can be scheduled to the node: a new node is tainted until it has reported.
pub(crate) fn is_usable(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    let tainted = spec.and_then(|spec| spec.taints.as_ref()).is_some_and(|t| !t.is_empty());
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    ready && !tainted
}
