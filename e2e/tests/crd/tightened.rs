//! A rule about the spec that a newer version tightens never blocks the status of an old worker.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::crd;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::cluster;

/// A group of its own, since the rules of the real one must stay as they are.
const GROUP: &str = "tight.duckworker.dev";

#[tokio::test]
async fn a_tightened_rule_does_not_block_old_workers() -> Result<()> {
    let cluster = cluster().await?;
    let crds: Api<CustomResourceDefinition> = Api::all(cluster.client()?);
    let (mut loose, mut tight) = (copy()?, copy()?);
    loosen(&mut loose)?;
    apply(&crds, &mut loose).await?;
    cluster
        .with_namespace("tightened", async |ns| {
            let kind = GroupVersionKind::gvk(GROUP, "v1alpha1", "DuckWorker");
            let resource = ApiResource::from_gvk_with_plural(&kind, "duckworkers");
            let api: Api<DynamicObject> =
                Api::namespaced_with(ns.client.clone(), &ns.name, &resource);
            create(&api, "old").await?;
            apply(&crds, &mut tight).await?;
            // The tightened rules bite a moment later.
            let refusal = tokio::time::timeout(duckworker_e2e::PATIENCE, async {
                loop {
                    let name = format!("new-{:08x}", rand::random::<u32>());
                    if let Err(error) = create(&api, &name).await {
                        return error.to_string();
                    }
                }
            })
            .await?;
            ensure!(refusal.contains("restartPolicy must be Never"), "{refusal}");
            let status = json!({ "status": {
                "state": "Spawning", "owner": "user:admin:one", "ownerEpoch": 1,
                "writes": { "seq": 1, "ids": ["id-of-write-1"] },
            } });
            let params = PatchParams::default();
            api.patch_status("old", &params, &Patch::Merge(&status)).await?;
            let label = json!({ "metadata": { "labels": { "a": "b" } } });
            api.patch("old", &params, &Patch::Merge(&label)).await?;
            let longer = json!({ "spec": { "drainTimeoutSeconds": 7 } });
            api.patch("old", &params, &Patch::Merge(&longer)).await?;
            Ok(())
        })
        .await
}

fn copy() -> Result<Value> {
    let mut crd = crd::duckworker()?;
    crd["metadata"]["name"] = json!(format!("duckworkers.{GROUP}"));
    crd["spec"]["group"] = json!(GROUP);
    crd["spec"]["names"] = json!({
        "kind": "DuckWorker", "listKind": "DuckWorkerList", "plural": "duckworkers",
        "singular": "duckworker",
    });
    Ok(crd)
}

/// An older version, which did not judge the spec at all.
fn loosen(crd: &mut Value) -> Result<()> {
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let spec = crd.pointer_mut(spec).and_then(Value::as_object_mut).context("no spec")?;
    spec.remove("x-kubernetes-validations");
    Ok(())
}

async fn apply(crds: &Api<CustomResourceDefinition>, crd: &mut Value) -> Result<()> {
    let name = format!("duckworkers.{GROUP}");
    let params = PatchParams::apply("test").force();
    crds.patch(&name, &params, &Patch::Apply(&*crd)).await?;
    let served = |crd: &CustomResourceDefinition| {
        let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|c| c.type_ == "Established" && c.status == "True")
    };
    duckworker_e2e::await_object(crds, &name, "served", served).await?;
    Ok(())
}

/// Makes a worker that the tightened rules refuse.
async fn create(api: &Api<DynamicObject>, name: &str) -> Result<(), kube::Error> {
    let worker = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"),
        "kind": "DuckWorker",
        "metadata": { "name": name },
        "spec": { "template": { "spec": {
            "restartPolicy": "Always",
            "containers": [{ "name": "duckdb", "image": "example.invalid/duckdb:1" }],
        } } },
    });
    let worker = serde_json::from_value(worker).map_err(kube::Error::SerdeError)?;
    api.create(&PostParams::default(), &worker).await.map(|_| ())
}
