//! A worker that is being deleted, and a namespace with workers in it.

use anyhow::{Context as _, Result, ensure};
use duckworker_core::WorkerState;
use duckworker_e2e::await_gone;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::actors::Actors;
use crate::cluster;
use crate::writes::{Change, create_in};

#[tokio::test]
async fn nothing_begins_on_a_worker_that_is_being_deleted() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("deleted", async |ns| {
            let actors = Actors::new(ns).await?;
            let (owner, peer, admin) = (&actors.owner, &actors.peer, &actors.admin);
            let workers = admin.workers();
            for (state, to) in [
                (WorkerState::Pending, WorkerState::Spawning),
                (WorkerState::Idle, WorkerState::Reserved),
                (WorkerState::HotIdle, WorkerState::Reserved),
            ] {
                let worker = create_in(&workers, &owner.workers(), &owner.id, state).await?;
                let name = worker.metadata.name.as_deref().context("no name")?;
                let hold = json!({ "metadata": { "finalizers": ["example.com/held"] } });
                workers.patch(name, &PatchParams::default(), &Patch::Merge(&hold)).await?;
                workers.delete(name, &DeleteParams::default()).await?;
                let worker = workers.get(name).await?;
                let claim = Change { to, step: 1, owner: &peer.id, by: &peer.id };
                let verdict = claim.make(&peer.workers(), &worker).await?;
                let refusal = verdict.err().unwrap_or_default();
                ensure!(refusal.contains("the worker is being deleted"), "{state}: {refusal}");
                if state != WorkerState::Pending {
                    let drain = Change {
                        to: WorkerState::Draining,
                        step: 0,
                        owner: &owner.id,
                        by: &owner.id,
                    };
                    drain.make(&owner.workers(), &worker).await?.map_err(anyhow::Error::msg)?;
                }
                let free = json!({ "metadata": { "finalizers": null } });
                workers.patch(name, &PatchParams::default(), &Patch::Merge(&free)).await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_namespace_goes_without_a_controller() -> Result<()> {
    let cluster = cluster().await?;
    let ns = cluster.create_namespace("locked-out").await?;
    let actors = Actors::new(&ns).await?;
    let workers = actors.admin.workers();
    let owner = &actors.owner;
    let worker = create_in(&workers, &owner.workers(), &owner.id, WorkerState::Hot).await?;
    let name = worker.metadata.name.as_deref().context("no name")?;
    let ours = json!({ "metadata": { "finalizers": ["duckworker.dev/cleanup"] } });
    workers.patch(name, &PatchParams::default(), &Patch::Merge(&ours)).await?;
    let namespaces: Api<Namespace> = Api::all(cluster.client()?);
    let namespace = namespaces.get(&ns.name).await?;
    ns.delete().await?;
    // The documented way: whoever may update duckworkers/finalizers takes it off.
    let free = r#"{"metadata":{"finalizers":null}}"#;
    ns.kubectl(&["patch", "dw", name, "--type=merge", "-p", free]).await?.ok()?;
    await_gone(&namespaces, &namespace).await
}
