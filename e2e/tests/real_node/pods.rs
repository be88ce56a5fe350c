//! The node itself: it runs pods as restricted as a careful cluster wants them.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::real::stub::{self, ask};
use duckworker_e2e::real::{REAL_NODE, Ran, images, real_scenario};
use duckworker_e2e::{SIMULATED_NODE, TestNamespace, await_gone, pod_is_ready};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

/// Makes the namespace refuse each pod that could be more than it needs to be.
async fn restrict(ns: &TestNamespace<'_>) -> Result<()> {
    let enforce = json!({ "metadata": { "labels": {
        "pod-security.kubernetes.io/enforce": "restricted"
    } } });
    let namespaces = ns.cluster_api::<Namespace>();
    namespaces.patch(&ns.name, &PatchParams::default(), &Patch::Merge(&enforce)).await?;
    Ok(())
}

fn restricted_pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "stub",
                "image": images::STUB,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
                "readinessProbe": {
                    "httpGet": { "path": "/", "port": stub::PORT },
                    "periodSeconds": 1,
                },
            }],
        },
    })
}

#[tokio::test]
async fn a_restricted_pod_answers_on_its_address() -> Result<Ran> {
    real_scenario("restricted-pod", async |ns| {
        let node = ns.cluster.real_node()?;
        restrict(ns).await?;
        let started = Instant::now();
        ns.create::<Pod>(restricted_pod("p")).await?;
        let pod: Pod = ns.await_object("p", "Ready", pod_is_ready).await?;
        let timings = node.timings().context("the node has started")?;
        eprintln!("{timings:?}, first pod ready: {} ms", started.elapsed().as_millis());
        let answer = ask(&pod, "GET /").await?;
        ensure!(answer.contains("stub p, user 65532"), "{answer}");
        let logs = ns.kubectl(&["logs", "p"]).await?.ok()?;
        ensure!(logs.contains("serving on :8816"), "{logs}");

        ns.api::<Pod>().delete("p", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &pod).await?;
        ensure!(ask(&pod, "GET /").await.is_err(), "nobody is there any more");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_chooses_between_the_real_and_a_simulated_node() -> Result<Ran> {
    real_scenario("choice", async |ns| {
        let (key, value) = SIMULATED_NODE;
        let simulated = json!({
            "metadata": { "name": "simulated" },
            "spec": {
                "nodeSelector": { key: value },
                "tolerations": [{ "key": key, "value": value, "effect": "NoSchedule" }],
                "containers": [{ "name": "any", "image": "duckworker.invalid/none:1" }],
            },
        });
        ns.create::<Pod>(simulated).await?;
        ns.create::<Pod>(restricted_pod("silent")).await?;
        for (pod, kind) in [("simulated", SIMULATED_NODE), ("silent", REAL_NODE)] {
            let scheduled = |pod: &Pod| node_name(pod).is_some();
            let pod: Pod = ns.await_object(pod, "scheduled", scheduled).await?;
            let name = node_name(&pod).context("scheduled")?;
            let node = ns.cluster_api::<Node>().get(name).await?;
            let labels = node.metadata.labels.unwrap_or_default();
            ensure!(labels.get(kind.0).map(String::as_str) == Some(kind.1), "{name}: {labels:?}");
        }
        Ok(())
    })
    .await
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}
