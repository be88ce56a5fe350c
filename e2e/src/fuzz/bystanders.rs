//! Workers that have nothing to do with what is tried beside them, and must not notice it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::Value;

use super::hostile::{BYSTANDER, BYSTANDER_UID, BYSTANDERS, BYSTANDERS_UID};
use super::kind::QUARRY;
use crate::TestNamespace;
use crate::claim::{bind, claim};
use crate::pool::{await_count, pool};
use crate::scenario::bring;
use crate::worker::plain;

/// What a worker shows of itself: its uid, its whole status (epoch, transitions, pod), the version
/// of its spec, and the uid of its pod as that is now.
type Shown = (Option<String>, Value, Option<i64>, Option<String>);

/// A worker by itself, an idle one of a pool, and one that serves a claim.
pub struct Bystanders {
    words: [(&'static str, String); 2],
    workers: BTreeMap<String, Shown>,
    /// What they own: this and nothing else is left in the end.
    children: Vec<String>,
}

impl Bystanders {
    /// Brings them up, with the pool that claims are served from.
    pub async fn bring(ns: &TestNamespace<'_>) -> Result<Self> {
        ns.create::<DuckWorkerPool>(pool(QUARRY, 4, 200)).await?;
        let own: DuckWorkerPool = ns.create(pool(BYSTANDERS, 1, 3)).await?;
        let worker = bring(ns, plain(BYSTANDER), "Idle").await?;
        bind(ns, claim(BYSTANDER, BYSTANDERS, "bystander")).await?;
        await_count(ns, BYSTANDERS, "Hot", 1).await?;
        await_count(ns, BYSTANDERS, "Idle", 1).await?;
        await_count(ns, QUARRY, "Idle", 4).await?;
        let uid = |uid: Option<String>| uid.context("no uid");
        let words = [(BYSTANDER_UID, uid(worker.uid())?), (BYSTANDERS_UID, uid(own.uid())?)];
        let mut new = Self { words, workers: BTreeMap::new(), children: Vec::new() };
        new.workers = shown(ns).await?;
        ensure!(new.workers.len() == 3, "{:?}", new.workers.keys());
        new.children = children(ns, |name| !name.starts_with(QUARRY)).await?;
        Ok(new)
    }

    /// What stands for their uids in cases.
    pub fn words(&self) -> impl Iterator<Item = (&str, &str)> {
        self.words.iter().map(|(word, uid)| (*word, uid.as_str()))
    }

    /// What has changed about them.
    pub async fn disturbed(&self, ns: &TestNamespace<'_>) -> Result<Option<String>> {
        let now = shown(ns).await?;
        Ok(self.workers.iter().find_map(|(name, before)| match now.get(name) {
            Some(now) if now == before => None,
            now => Some(format!("the bystander {name} was {before:?} and is {now:?}")),
        }))
    }

    /// The pods, secrets and workers that are theirs.
    pub fn children(&self) -> &[String] {
        &self.children
    }

    /// Ends the pool that claims were served from.
    pub async fn close_quarry(ns: &TestNamespace<'_>) -> Result<()> {
        let pools = ns.api::<DuckWorkerPool>();
        pools.delete(QUARRY, &kube::api::DeleteParams::background()).await?;
        let claims = ns.api::<DuckWorkerClaim>().list(&ListParams::default()).await?;
        ensure!(claims.items.len() == 1, "claims are left");
        Ok(())
    }
}

async fn shown(ns: &TestNamespace<'_>) -> Result<BTreeMap<String, Shown>> {
    let workers = ns.api::<DuckWorker>().list(&ListParams::default()).await?;
    let mut all = BTreeMap::new();
    for worker in workers.items.into_iter().filter(|w| is_bystander(&w.name_any())) {
        let pod = ns.api::<Pod>().get_opt(&worker.name_any()).await?;
        let pod = pod.filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let status = serde_json::to_value(&worker.status)?;
        let shown = (worker.uid(), status, worker.metadata.generation, pod.and_then(|p| p.uid()));
        all.insert(worker.name_any(), shown);
    }
    Ok(all)
}

fn is_bystander(name: &str) -> bool {
    name.starts_with(BYSTANDER)
}

/// The names of pods, secrets and workers, with their kinds.
pub async fn children(
    ns: &TestNamespace<'_>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let all = ListParams::default();
    let pods = ns.api::<Pod>().list_metadata(&all).await?.items;
    let secrets = ns.api::<Secret>().list_metadata(&all).await?.items;
    let workers = ns.api::<DuckWorker>().list_metadata(&all).await?.items;
    let mut names: Vec<(&str, String)> = Vec::new();
    names.extend(pods.iter().map(|pod| ("Pod", pod.name_any())));
    names.extend(secrets.iter().map(|secret| ("Secret", secret.name_any())));
    names.extend(workers.iter().map(|worker| ("DuckWorker", worker.name_any())));
    let wanted = names.into_iter().filter(|(_, name)| wanted(name));
    Ok(wanted.map(|(kind, name)| format!("{kind} {name}")).collect())
}
