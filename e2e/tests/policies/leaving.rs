//! A worker that is being deleted, and a namespace with workers in it.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, labels};
use duckworker_core::WorkerState;
use duckworker_e2e::page::commands;
use duckworker_e2e::{TestNamespace, await_gone};
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
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

/// Plays the way out that `docs/operations.md` tells for a worker without a controller.
async fn free(ns: &TestNamespace<'_>, worker: &str) -> Result<()> {
    for words in commands("Uninstall", 1)? {
        let words: Vec<String> = words.iter().map(|word| word.replace("NAME", worker)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        ns.kubectl(&words).await?.ok().with_context(|| format!("{words:?}"))?;
    }
    Ok(())
}

/// A hot worker with our finalizer, its pod and its secret, and nobody who looks after them.
async fn abandoned(ns: &TestNamespace<'_>) -> Result<DuckWorker> {
    let actors = Actors::new(ns).await?;
    let workers = actors.admin.workers();
    let owner = &actors.owner;
    let worker = create_in(&workers, &owner.workers(), &owner.id, WorkerState::Hot).await?;
    let name = worker.name_any();
    let ours = json!({ "metadata": { "finalizers": [labels::FINALIZER] } });
    workers.patch(&name, &PatchParams::default(), &Patch::Merge(&ours)).await?;
    let of_worker = json!({ labels::WORKER_NAME: name, labels::WORKER_UID: worker.uid() });
    let containers = json!([{ "name": "duckdb", "image": "example.invalid/duckdb:1" }]);
    let meta = |name: &str| json!({ "name": name, "labels": of_worker });
    let spec = json!({ "containers": containers });
    ns.create::<Pod>(json!({ "metadata": meta(&name), "spec": spec })).await?;
    ns.create::<Secret>(json!({ "metadata": meta(&format!("{name}-rpc")) })).await?;
    Ok(worker)
}

#[tokio::test]
async fn a_worker_goes_without_a_controller() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("way-out", async |ns| {
            let worker = abandoned(ns).await?;
            let name = worker.name_any();
            ns.api::<DuckWorker>().delete(&name, &DeleteParams::default()).await?;
            free(ns, &name).await?;
            await_gone(&ns.api(), &worker).await?;
            ensure!(ns.api::<Pod>().get_opt(&name).await?.is_none(), "its pod is left");
            let secret = ns.api::<Secret>().get_opt(&format!("{name}-rpc")).await?;
            ensure!(secret.is_none(), "its secret is left");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_namespace_goes_without_a_controller() -> Result<()> {
    let cluster = cluster().await?;
    let ns = cluster.create_namespace("locked-out").await?;
    let worker = abandoned(&ns).await?;
    let namespaces: Api<Namespace> = Api::all(cluster.client()?);
    let namespace = namespaces.get(&ns.name).await?;
    ns.delete().await?;
    free(&ns, &worker.name_any()).await?;
    await_gone(&namespaces, &namespace).await
}
