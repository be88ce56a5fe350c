//! What the API server says of tenants, without any controller.

use anyhow::{Result, ensure};
use duckworker_api::{DuckTenant, samples};
use duckworker_e2e::tenant::tenant;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::cluster;

#[tokio::test]
async fn a_spoiled_tenant_is_refused_with_a_sentence() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("bad-tenants", async |ns| {
            for (name, spec, sentence) in [
                ("a.b", json!({}), "metadata.name is what workers and claims call the tenant"),
                (&*"x".repeat(64), json!({}), "metadata.name is what workers and claims call"),
                ("t", json!({ "maxWorkers": -1 }), "greater than or equal to 0"),
                ("t", json!({ "maxWorkers": 2001 }), "less than or equal to 2000"),
                ("t", json!({ "image": "a b" }), "spec.image"),
                ("t", json!({ "activationSecretRef": {} }), "spec.activationSecretRef.name"),
                (
                    "t",
                    json!({ "activationSecretRef": { "name": "Not_One" } }),
                    "spec.activationSecretRef.name",
                ),
                (
                    "t",
                    json!({ "hotIdle": { "minPerTenant": 3, "maxPerTenant": 2 } }),
                    "minPerTenant must not be more than spec.hotIdle.maxPerTenant",
                ),
                (
                    "t",
                    json!({ "maxWorkers": 2, "hotIdle": { "minPerTenant": 3 } }),
                    "minPerTenant must not be more than spec.maxWorkers",
                ),
                ("t", json!({ "maxWorker": 2 }), "unknown field \"spec.maxWorker\""),
            ] {
                let manifest = tenant(name, &spec).to_string();
                let args = ["--namespace", &ns.name, "create", "-f", "-"];
                let identity = ns.cluster.user("admin")?;
                let refusal = ns.cluster.kubectl_as(identity, &args, &manifest).await?.refused()?;
                ensure!(refusal.contains(sentence), "{name} {spec}: {refusal}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_tenant_is_shown_and_explained() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("tenants", async |ns| {
            let api: Api<DuckTenant> = ns.api();
            api.create(&PostParams::default(), &samples::tenant()).await?;
            let table = ns.kubectl(&["get", "dt"]).await?.ok()?;
            ensure!(table.lines().all(|line| line.len() <= 100), "{table}");
            ensure!(table.contains("acme-activation"), "{table}");
            ensure!(ns.kubectl(&["get", "duck", "-o", "name"]).await?.ok()?.contains("acme"));
            let explained = crate::shown::await_explained("dt.spec.activationSecretRef").await?;
            ensure!(explained.contains("The secret with what a worker is told"), "{explained}");
            Ok(())
        })
        .await
}
