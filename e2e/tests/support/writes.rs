//! Writes of the status as a careful client of any language makes them: signed, with history.

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use duckworker_core::WorkerState;
use duckworker_e2e::worker;
use kube::api::PostParams;
use kube::{Api, Error};
use serde_json::{Value, json};

/// The tenant of every worker that has one.
pub const TENANT: &str = "acme";

/// One change of a worker's status.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The state afterwards.
    pub to: WorkerState,
    /// How much the epoch rises.
    pub step: i64,
    /// The owner afterwards.
    pub owner: &'a str,
    /// Who says that he did it.
    pub by: &'a str,
}

impl Change<'_> {
    /// The status after it.
    pub fn status(&self, worker: &DuckWorker) -> Result<Value> {
        let old = serde_json::to_value(worker.status.as_ref().context("no status")?)?;
        let mut new = old.clone();
        let from = old["state"].as_str().unwrap_or_default();
        let epoch_before = old["ownerEpoch"].as_i64().unwrap_or(0);
        let epoch = epoch_before + self.step;
        let owner_before = old["owner"].as_str().unwrap_or_default();
        new["state"] = json!(self.to.to_string());
        new["writes"] = json!({
            "seq": old["writes"]["seq"].as_i64().unwrap_or(0) + 1,
            "ids": pushed(&old["writes"]["ids"], json!(format!("id-{:016x}", rand::random::<u64>()))),
        });
        if epoch_before + epoch != 0 {
            new["owner"] = json!(self.owner);
            new["ownerEpoch"] = json!(epoch);
        }
        if self.to.needs_tenant() && old.get("tenant").is_none() {
            new["tenant"] = json!(TENANT);
        }
        if epoch > 0 && (self.to.to_string() != from || self.owner != owner_before) {
            let at = "2026-01-01T00:00:00Z";
            let entry = json!({ "name": "note", "by": self.by, "epoch": epoch, "at": at });
            new["transitions"] = pushed(&old["transitions"], entry);
        }
        Ok(new)
    }

    /// The worker after it.
    pub fn made(&self, worker: &DuckWorker) -> Result<DuckWorker> {
        let mut changed = worker.clone();
        changed.status = Some(serde_json::from_value(self.status(worker)?)?);
        Ok(changed)
    }

    /// Makes it; the refusal's sentence if it is refused.
    pub async fn make(
        &self,
        api: &Api<DuckWorker>,
        worker: &DuckWorker,
    ) -> Result<Result<DuckWorker, String>> {
        put_status(api, &self.made(worker)?).await
    }
}

/// Writes the status as it stands there; the refusal's sentence if it is refused.
pub async fn put_status(
    api: &Api<DuckWorker>,
    worker: &DuckWorker,
) -> Result<Result<DuckWorker, String>> {
    let name = worker.metadata.name.as_deref().context("no name")?;
    verdict(api.replace_status(name, &PostParams::default(), worker).await)
}

/// Told apart: done, refused with a sentence, or something else that fails the test.
pub fn verdict<T>(answer: Result<T, Error>) -> Result<Result<T, String>> {
    match answer {
        Ok(done) => Ok(Ok(done)),
        Err(Error::Api(status)) if matches!(status.code, 403 | 422) => Ok(Err(status.message)),
        Err(error) => Err(error.into()),
    }
}

/// The list with one more at its head, cut to five.
fn pushed(list: &Value, head: Value) -> Value {
    let old = list.as_array().into_iter().flatten().cloned();
    std::iter::once(head).chain(old).take(5).collect()
}

/// Makes a worker of this name.
pub async fn create(api: &Api<DuckWorker>, name: &str) -> Result<DuckWorker> {
    let worker = serde_json::from_value(worker::plain(name))?;
    Ok(api.create(&PostParams::default(), &worker).await?)
}

/// Makes a worker and brings it into a state, as its owner.
pub async fn create_in(
    creator: &Api<DuckWorker>,
    owners: &Api<DuckWorker>,
    owner: &str,
    state: WorkerState,
) -> Result<DuckWorker> {
    let mut worker = create(creator, &format!("w-{:08x}", rand::random::<u32>())).await?;
    for &(to, step) in way_to(state) {
        let change = Change { to, step, owner, by: owner };
        worker = change.make(owners, &worker).await?.map_err(anyhow::Error::msg)?;
    }
    Ok(worker)
}

/// The shortest way from Pending, with the rise of the epoch at each step.
fn way_to(state: WorkerState) -> &'static [(WorkerState, i64)] {
    use WorkerState::{
        Activating, Draining, Hot, HotIdle, Idle, Lost, Pending, Reserved, Retired, Spawning,
    };
    const LIFE: [(WorkerState, i64); 6] =
        [(Spawning, 1), (Idle, 0), (Reserved, 1), (Activating, 0), (Hot, 0), (HotIdle, 0)];
    match state {
        Pending => &[],
        Spawning => &LIFE[..1],
        Idle => &LIFE[..2],
        Reserved => &LIFE[..3],
        Activating => &LIFE[..4],
        Hot => &LIFE[..5],
        HotIdle => &LIFE,
        Draining => &[(Spawning, 1), (Draining, 0)],
        Retired => &[(Spawning, 1), (Retired, 0)],
        Lost => &[(Spawning, 1), (Lost, 0)],
    }
}
