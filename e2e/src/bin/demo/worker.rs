//! The life of one worker: applied, started, fenced, deleted.

use anyhow::{Context as _, Result};
use duckworker_api::{DuckWorker, DuckWorkerStatus};
use duckworker_e2e::worker::is;
use duckworker_e2e::{await_gone, await_object};
use kube::Api;
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::show;
use crate::watch::Watch;

const WORKER: &str = "sample-plain";

/// Shows it.
pub async fn run(ground: &Ground) -> Result<()> {
    let workers: Api<DuckWorker> = ground.api();
    let created = apply(ground, &workers).await?;
    let idle = await_object(&workers, WORKER, "Idle", is("Idle")).await?;
    show_children(ground).await?;
    show_fences(ground, &idle).await?;
    delete(ground, &workers, &created).await
}

async fn apply(ground: &Ground, workers: &Api<DuckWorker>) -> Result<DuckWorker> {
    show::step("A worker is applied, and comes: Pending -> Spawning -> Idle");
    let watch = Watch::start(ground, &["get", "duckworkers", "--watch"])?;
    ground.kubectl_shown(&["apply", "-f", "config/samples/worker-plain.yaml"]).await?;
    let idle = await_object(workers, WORKER, "Idle", is("Idle")).await?;
    watch.until("Idle").await?;
    Ok(idle)
}

async fn show_children(ground: &Ground) -> Result<()> {
    show::step("It has one pod and one secret (names only)");
    ground.kubectl_shown(&["get", "pods,secrets", "-o", "name"]).await?;
    show::step("Its status says who owns it, at which epoch, and what happened");
    let path = "jsonpath={.status.owner} epoch {.status.ownerEpoch}{\"\\n\"}{range .status.transitions[*]}{.at} {.name}{\"\\n\"}{end}";
    ground.kubectl_shown(&["get", "duckworker", WORKER, "-o", path]).await?;
    Ok(())
}

/// Two writes of a process that believes the worker to be its own.
async fn show_fences(ground: &Ground, idle: &DuckWorker) -> Result<()> {
    show::step("A stale owner writes to it, and the API server refuses");
    let status = idle.status.as_ref().context("an idle worker has a status")?;
    show::say("it claims to be the owner, at the epoch that it remembers:");
    let epoch = status.owner_epoch.unwrap_or_default();
    refused(ground, status, json!({ "owner": "user:stale:00000000", "ownerEpoch": epoch })).await?;
    show::say("it believes that the worker serves a tenant, and reports so:");
    refused(ground, status, json!({ "state": "Hot", "tenant": "acme" })).await
}

/// A write that is well-formed but for what it claims: with a fresh id, as every write has.
async fn refused(ground: &Ground, status: &DuckWorkerStatus, mut claim: Value) -> Result<()> {
    let writes = status.writes.as_ref().context("an idle worker was written to")?;
    let ids: Vec<_> =
        ["stale-write".to_owned()].into_iter().chain(writes.ids.clone()).take(5).collect();
    claim["writes"] = json!({ "seq": writes.seq + 1, "ids": ids });
    let patch = json!({ "status": claim }).to_string();
    let args =
        ["patch", "duckworker", WORKER, "--subresource=status", "--type=merge", "-p", &patch];
    let words = ground.kubectl_refused(&args).await?;
    show::command(&format!("kubectl patch dw {WORKER} --subresource=status -p '{patch}'"), &words);
    Ok(())
}

async fn delete(ground: &Ground, workers: &Api<DuckWorker>, created: &DuckWorker) -> Result<()> {
    show::step("The worker is deleted: it drains, its pod ends, its secret is swept");
    let mut watch = Watch::start(ground, &["get", "duckworkers", "--watch"])?;
    // A watch that begins when the worker is gone has nothing to show.
    watch.shows("Idle").await?;
    ground.kubectl_shown(&["delete", "duckworker", WORKER, "--wait=false"]).await?;
    await_gone(workers, created).await?;
    watch.until("Retired").await
}
