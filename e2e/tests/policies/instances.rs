//! Who may write the Lease of a control-plane instance.

use anyhow::{Result, ensure};
use duckworker_api::labels::{COMPONENT, CONTROL_PLANE, INSTANCE_STATE};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::actors::{Actor, Actors};
use crate::cluster;
use crate::writes::verdict;

const RENEWED: &str = "2026-01-01T00:00:05.000000Z";

fn lease(name: &str, holder: &str, state: &str) -> Value {
    json!({
        "metadata": {
            "name": name,
            "labels": { COMPONENT: CONTROL_PLANE, INSTANCE_STATE: state },
        },
        "spec": { "holderIdentity": holder, "leaseDurationSeconds": 20 },
    })
}

async fn create(actor: &Actor, lease: Value) -> Result<Result<Lease, String>> {
    let api: Api<Lease> = actor.api();
    verdict(api.create(&PostParams::default(), &serde_json::from_value(lease)?).await)
}

/// Writes the Lease with these changes, given by JSON pointer.
async fn write(
    actor: &Actor,
    lease: &Lease,
    changes: &[(&str, Value)],
) -> Result<Result<Lease, String>> {
    let mut edited = serde_json::to_value(lease)?;
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        if let Some(Value::Object(map)) = edited.pointer_mut(parent) {
            map.insert(key.replace("~1", "/"), value.clone());
        }
    }
    let api: Api<Lease> = actor.api();
    let name = lease.metadata.name.as_deref().unwrap_or_default();
    let edited = serde_json::from_value(edited)?;
    verdict(api.replace(name, &PostParams::default(), &edited).await)
}

fn marked(state: &str) -> (&'static str, Value) {
    ("/metadata/labels/duckworker.dev~1instance-state", json!(state))
}

fn refused<T>(verdict: Result<T, String>, sentence: &str) -> Result<()> {
    let refusal = verdict.err().unwrap_or_default();
    ensure!(refusal.contains(sentence), "wanted {sentence:?}, got {refusal:?}");
    Ok(())
}

#[tokio::test]
async fn a_lease_is_made_and_renewed_by_its_holder() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("leases", async |ns| {
            let actors = Actors::new(ns).await?;
            for actor in actors.all() {
                for other in actors.all() {
                    let name = format!("l-{:08x}", rand::random::<u32>());
                    let made = create(actor, lease(&name, &other.id, "active")).await?;
                    if actor.id != other.id {
                        refused(made, "is its maker for good")?;
                        continue;
                    }
                    let made = made.map_err(anyhow::Error::msg)?;
                    let renewal = [("/spec/renewTime", json!(RENEWED))];
                    let renewed = write(actor, &made, &renewal).await?;
                    let renewed = renewed.map_err(anyhow::Error::msg)?;
                    let handed = [("/spec/holderIdentity", json!("user:bob:two"))];
                    refused(write(actor, &renewed, &handed).await?, "is its maker for good")?;
                    let leaving = write(actor, &renewed, &[marked("draining")]).await?;
                    leaving.map_err(anyhow::Error::msg)?;
                }
            }
            let nonsense = create(&actors.owner, lease("l", &actors.owner.id, "asleep")).await?;
            refused(nonsense, "is active, draining or expired")
        })
        .await
}

#[tokio::test]
async fn others_may_only_expire_a_lease() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("expiry", async |ns| {
            let actors = Actors::new(ns).await?;
            let owner = &actors.owner;
            for actor in [&actors.peer, &actors.person, &actors.admin] {
                let name = format!("l-{:08x}", rand::random::<u32>());
                let made = create(owner, lease(&name, &owner.id, "active")).await?;
                let made = made.map_err(anyhow::Error::msg)?;
                let expired = marked("expired");
                let reference =
                    json!([{ "apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y" }]);
                let unlabelled = json!({ "a": "b" });
                for changes in [
                    vec![("/spec/renewTime", json!(RENEWED))],
                    vec![marked("draining")],
                    vec![expired.clone(), ("/spec/renewTime", json!(RENEWED))],
                    vec![expired.clone(), ("/metadata/labels/x", json!("y"))],
                    vec![expired.clone(), ("/metadata/annotations", json!({ "x": "y" }))],
                    vec![expired.clone(), ("/metadata/finalizers", json!(["a.b/c"]))],
                    vec![expired.clone(), ("/metadata/ownerReferences", reference.clone())],
                    vec![("/metadata/labels", unlabelled.clone())],
                ] {
                    refused(write(actor, &made, &changes).await?, "writes this instance Lease")?;
                }
                let marked_expired = write(actor, &made, &[expired]).await?;
                let dead = marked_expired.map_err(anyhow::Error::msg)?;
                for by in [owner, actor] {
                    let back = write(by, &dead, &[marked("active")]).await?;
                    refused(back, "an expired instance Lease stays expired")?;
                    let renewal = [("/spec/renewTime", json!(RENEWED))];
                    refused(write(by, &dead, &renewal).await?, "stays expired")?;
                }
                refused(write(owner, &dead, &[("/metadata/labels", unlabelled)]).await?, "")?;
            }
            Ok(())
        })
        .await
}
