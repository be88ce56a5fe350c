//! What a person sees of the CRD.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, samples};
use duckworker_core::WorkerState;
use kube::Api;
use kube::api::PostParams;

use crate::cluster;
use crate::writes::{create, create_in};

#[tokio::test]
async fn a_new_worker_reads_pending_at_once() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("new", async |ns| {
            let created = create(&ns.api(), "new").await?;
            let status = created.status.context("no status")?;
            ensure!(status.state == "Pending");
            let ready = &status.conditions[0];
            ensure!((&*ready.type_, &*ready.status) == ("Ready", "Unknown"), "{ready:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_samples_are_accepted() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("samples", async |ns| {
            let api: Api<DuckWorker> = ns.api();
            for sample in [samples::worker(), samples::dedicated_worker(), samples::plain_worker()]
            {
                api.create(&PostParams::default(), &sample).await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_table_fits_a_terminal() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("table", async |ns| {
            let api: Api<DuckWorker> = ns.api();
            create(&api, "a-worker-with-a-name-of-32-chars").await?;
            create_in(&api, &api, "user:admin:one", WorkerState::Activating).await?;
            let table = ns.kubectl(&["get", "dw"]).await?.ok()?;
            ensure!(table.lines().all(|line| line.len() <= 100), "{table}");
            ensure!(table.contains("Activating") && table.contains("acme"), "{table}");
            let wide = ns.kubectl(&["get", "dw", "-o", "wide"]).await?.ok()?;
            ensure!(wide.contains("user:admin:one"), "{wide}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn workers_are_selected_by_state() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("select", async |ns| {
            let api: Api<DuckWorker> = ns.api();
            create(&api, "pending").await?;
            create_in(&api, &api, "user:admin:one", WorkerState::Idle).await?;
            let pending = ["get", "dw", "--field-selector=status.state=Pending", "-o", "name"];
            let names = ns.kubectl(&pending).await?.ok()?;
            ensure!(names.trim() == "duckworker.duckworker.dev/pending", "{names}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn explain_explains() -> Result<()> {
    let cluster = cluster().await?;
    for (field, sentence) in [
        ("dw", "never restarted in place"),
        ("dw.spec.template", "A container named `duckdb` is required"),
        ("dw.spec.drainTimeoutSeconds", "How long it may take to finish"),
        ("dw.status.ownerEpoch", "the fence that a stale owner cannot pass"),
    ] {
        // The documents follow a new CRD with a short delay.
        let explained = await_explained(field).await?;
        let words: Vec<&str> = explained.split_whitespace().collect();
        ensure!(words.join(" ").contains(sentence), "{field}: {explained}");
    }
    let insides = cluster.kubectl(&["explain", "dw.spec.template.spec.containers"]).await?;
    insides.ok()?;
    Ok(())
}

/// The explanation of a field, once the API server has it.
pub async fn await_explained(field: &str) -> Result<String> {
    let cluster = cluster().await?;
    tokio::time::timeout(duckworker_e2e::PATIENCE, async {
        loop {
            if let Ok(text) = cluster.kubectl(&["explain", field]).await?.ok() {
                return Ok(text);
            }
        }
    })
    .await?
}
