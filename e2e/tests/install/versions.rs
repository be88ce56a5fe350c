//! A controller beside a newer version, and one that was there before its definitions were.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::Connection;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::scenario::{await_event, bring};
use duckworker_e2e::worker::plain;
use duckworker_e2e::{AuditEvent, Cluster, ClusterOptions, TestNamespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// Installs the definition of a newer version: more states, one more field, and a part of the
/// spec that is not what it was.
async fn install_newer(cluster: &Cluster) -> Result<()> {
    cluster.install_crds().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client()?);
    let name = "duckworkers.duckworker.dev";
    let mut newer = serde_json::to_value(definitions.get(name).await?)?;
    let schema =
        newer.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").context("a schema")?;
    strip_rules(schema);
    schema["properties"]["status"]["properties"]["mood"] = json!({ "type": "string" });
    let state = &mut schema["properties"]["status"]["properties"]["state"];
    *state = json!({ "type": "string" });
    schema["properties"]["spec"]["properties"]["drainTimeoutSeconds"] =
        json!({ "x-kubernetes-preserve-unknown-fields": true });
    let patch = Patch::Merge(json!({ "spec": newer["spec"] }));
    definitions.patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

fn strip_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            fields.values_mut().for_each(strip_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_rules),
        _ => {}
    }
}

/// The worker as it stands, whatever version wrote it.
fn raw(ns: &TestNamespace<'_>) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<DuckWorker>(&());
    Api::namespaced_with(ns.client.clone(), &ns.name, &kind)
}

/// Writes into a status as a newer version would.
#[allow(clippy::disallowed_methods, reason = "it plays another version's client")]
async fn write_status(ns: &TestNamespace<'_>, name: &str, status: Value) -> Result<Value> {
    let patch = Patch::Merge(json!({ "status": status }));
    let written = raw(ns).patch_status(name, &PatchParams::default(), &patch).await?;
    Ok(written.data["status"].clone())
}

fn start(ns: &TestNamespace<'_>) -> Result<InProcess> {
    Ok(InProcess::start(quick_settings(&ns.name)?, Connection::new(ns.cluster.config()?)?))
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_kept_or_left_alone() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    install_newer(&cluster).await?;
    cluster
        .with_namespace("newer", async |ns| {
            let controller = start(ns)?;
            bring(ns, plain("known"), "Idle").await?;
            bring(ns, plain("unknown"), "Idle").await?;
            let kept = write_status(ns, "known", json!({ "mood": "sunny" })).await?;
            ensure!(kept["mood"] == "sunny", "the newer definition is not in force: {kept}");
            // A state that this version does not know, and a spec that it cannot decode.
            let napping = write_status(ns, "unknown", json!({ "state": "Napping" })).await?;
            await_event(ns, "unknown", "WorkerUnreadable").await?;
            let mut strange = plain("strange");
            strange["spec"]["drainTimeoutSeconds"] = json!({ "soft": 5, "hard": 9 });
            let strange: DynamicObject = serde_json::from_value(strange)?;
            raw(ns).create(&PostParams::default(), &strange).await?;
            // Neither blinds the watch: others go on, and start anew.
            bring(ns, plain("later"), "Idle").await?;
            controller.kill().await;
            let _next = start(ns)?;
            let adopted =
                |w: &DuckWorker| w.status.as_ref().is_some_and(|s| s.owner_epoch == Some(2));
            for name in ["known", "later"] {
                ns.await_object::<DuckWorker>(name, "adopted", adopted).await?;
            }
            let known = raw(ns).get("known").await?;
            ensure!(known.data["status"]["mood"] == "sunny", "kept across our writes");
            let unknown = raw(ns).get("unknown").await?;
            ensure!(unknown.data["status"] == napping, "left alone");
            let strange = raw(ns).get("strange").await?;
            ensure!(strange.data["status"]["state"] == "Pending", "left alone");
            ensure!(strange.metadata.finalizers.is_none(), "left alone");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_controller_waits_for_its_definitions() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    cluster
        .with_namespace("no-crd", async |ns| {
            let controller = start(ns)?;
            let begin = cluster.audit().mark()?;
            // It has asked in vain, and asks again.
            let asked = |events: &[AuditEvent]| {
                let failed = |e: &&AuditEvent| {
                    e.request_uri.contains("duckworkers") && e.code() == Some(404)
                };
                events.iter().filter(failed).count() >= 2
            };
            cluster.audit().await_events(begin, "two vain questions", asked).await?;
            ensure!(controller.readiness.waiting_for() == ["caches"], "it says so");
            cluster.install_crds().await?;
            bring(ns, plain("w1"), "Idle").await?;
            ensure!(controller.readiness.waiting_for().is_empty());
            Ok(())
        })
        .await
}
