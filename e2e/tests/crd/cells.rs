//! Every change from state to state, tried on the real API server and compared with the table.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_core::WorkerState;
use duckworker_core::edges::{Edge, edges};
use duckworker_core::table::TransitionName;
use duckworker_e2e::TestNamespace;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::cluster;
use crate::writes::{Change, create_in, verdict};

const OWNER: &str = "user:admin:one";
const OTHER: &str = "user:admin:two";

/// One change.
#[derive(Debug, Clone, Copy)]
struct Cell {
    from: WorkerState,
    to: WorkerState,
    step: i64,
    owner: &'static str,
}

impl Cell {
    fn change(&self) -> Change<'static> {
        Change { to: self.to, step: self.step, owner: self.owner, by: self.owner }
    }

    /// As the table has it.
    fn is_allowed(&self) -> bool {
        let stays = self.from == self.to;
        let unowned = self.from == WorkerState::Pending;
        rows(self.from, self.to, self.step).iter().any(|row| match row.by {
            TransitionName::Adopt => self.owner != OWNER,
            TransitionName::RefreshLease => self.owner == OWNER,
            _ => row.epoch_rises || self.owner == OWNER || (stays && unowned),
        })
    }

    fn check(&self, verdict: Result<(), String>) -> Result<()> {
        match (self.is_allowed(), verdict) {
            (true, Err(refusal)) => anyhow::bail!("{self:?} should be allowed: {refusal}"),
            (false, Ok(())) => anyhow::bail!("{self:?} should be refused"),
            (false, Err(refusal)) => {
                ensure!(refusal.contains("status."), "{self:?}: no sentence: {refusal}");
                Ok(())
            }
            (true, Ok(())) => Ok(()),
        }
    }
}

/// The rows of the table that lead from here to there with this step of the epoch.
fn rows(from: WorkerState, to: WorkerState, step: i64) -> Vec<Edge> {
    let fits = |edge: &Edge| (edge.from, edge.to, i64::from(edge.epoch_rises)) == (from, to, step);
    edges().into_iter().filter(fits).collect()
}

/// Every state, state, step of the epoch and owner.
fn cells() -> Vec<Cell> {
    let mut all = Vec::new();
    for from in WorkerState::ALL {
        for to in WorkerState::ALL {
            for step in [-1, 0, 1, 2] {
                all.extend([OWNER, OTHER].map(|owner| Cell { from, to, step, owner }));
            }
        }
    }
    all
}

#[tokio::test]
async fn every_cell_is_judged_as_the_table_says() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("cells", async |ns| {
            let api: &Api<DuckWorker> = &ns.api();
            let tries = WorkerState::ALL.map(|from| async move {
                let mut worker = create_in(api, api, OWNER, from).await?;
                for cell in cells().into_iter().filter(|cell| cell.from == from) {
                    let verdict = cell.change().make(api, &worker).await?;
                    let changed = verdict.is_ok();
                    cell.check(verdict.map(|_| ()))?;
                    if changed {
                        worker = create_in(api, api, OWNER, from).await?;
                    }
                }
                anyhow::Ok(())
            });
            stream::iter(tries).buffer_unordered(4).try_collect::<Vec<()>>().await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn kubectl_is_judged_the_same() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("kubectl-cells", async |ns| {
            // Of each pair of states the step that the table knows, or none.
            let pairs = cells().into_iter().filter(|cell| {
                let known = (0..2).find(|&step| !rows(cell.from, cell.to, step).is_empty());
                cell.owner == OWNER && cell.step == known.unwrap_or(0)
            });
            let tries = pairs.map(|cell| try_with_kubectl(ns, cell));
            stream::iter(tries).buffer_unordered(6).try_collect::<Vec<()>>().await?;
            Ok(())
        })
        .await
}

async fn try_with_kubectl(ns: &TestNamespace<'_>, cell: Cell) -> Result<()> {
    let api: Api<DuckWorker> = ns.api();
    let worker = create_in(&api, &api, OWNER, cell.from).await?;
    let name = worker.metadata.name.as_deref().context("no name")?;
    let patch = json!({
        "metadata": { "resourceVersion": worker.metadata.resource_version },
        "status": cell.change().status(&worker)?,
    });
    let patch = patch.to_string();
    let command = ["patch", "dw", name, "--subresource=status", "--type=merge", "--patch", &patch];
    let output = ns.kubectl(&command).await?;
    cell.check(if output.success { Ok(()) } else { Err(output.stderr) })
}

#[tokio::test]
async fn a_status_can_be_neither_removed_nor_written_unsigned() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("removed", async |ns| {
            let api: Api<DuckWorker> = ns.api();
            let worker = create_in(&api, &api, OWNER, WorkerState::Idle).await?;
            let name = worker.metadata.name.as_deref().context("no name")?;
            for (patch, sentence) in [
                (r#"{"status":null}"#, "every write of the status"),
                (r#"{"status":{"state":"Hot"}}"#, "every write of the status"),
                (r#"{"status":{"owner":null}}"#, "every write of the status"),
                (r#"{"status":{"state":"Asleep"}}"#, "supported values: \"Pending\""),
            ] {
                let command =
                    ["patch", "dw", name, "--subresource=status", "--type=merge", "-p", patch];
                let refusal = ns.kubectl(&command).await?.refused()?;
                ensure!(refusal.contains(sentence), "{patch}: {refusal}");
            }
            let mut whole = api.get(name).await?;
            whole.status = None;
            let answer = api.replace_status(name, &PostParams::default(), &whole).await;
            ensure!(verdict(answer)?.is_err(), "a status was removed");
            Ok(())
        })
        .await
}
