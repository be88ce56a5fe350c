//! The fleet: who owns its workers, and what became of its pods.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use duckworker_api::DuckWorker;
use duckworker_e2e::bench::fleet::{self, Arrivals};
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::{TestNamespace, worker::is};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::replicas::{self, Replicas};

/// Workers in a namespace of their own.
pub struct Fleet<'a> {
    namespace: TestNamespace<'a>,
}

/// The uid of each pod that is there and not told to stop, by name.
pub type Pods = HashMap<String, Option<String>>;

impl<'a> Fleet<'a> {
    /// An empty one.
    pub async fn new(ground: &'a Ground) -> Result<Self> {
        Ok(Self { namespace: ground.cluster.create_namespace("fleet").await? })
    }

    /// Its namespace.
    pub fn name(&self) -> &str {
        &self.namespace.name
    }

    /// Applies so many workers and waits until all are idle.
    pub async fn raise(&self, count: usize) -> Result<()> {
        let (client, name) = (&self.namespace.client, self.name());
        let arrivals = Arrivals::watch(client, name, count, is("Idle"));
        fleet::apply(client, name, &fleet::names(count), drop).await?;
        arrivals.all().await?;
        Ok(())
    }

    /// The workers of an owner.
    pub async fn held_by(&self, owner: &str) -> Result<HashSet<String>> {
        let workers = self.namespace.api::<DuckWorker>().list(&ListParams::default()).await?;
        let held = workers.into_iter().filter(|worker| self::owner(worker) == Some(owner));
        Ok(held.map(|worker| worker.name_any()).collect())
    }

    /// How many workers have an owner that is none of these replicas, or none.
    pub async fn orphans(&self, replicas: &Replicas) -> Result<usize> {
        let workers = self.namespace.api::<DuckWorker>().list(&ListParams::default()).await?;
        let live: HashSet<&str> =
            (0..replicas::COUNT).map(|number| replicas.owner(number)).collect();
        let is_orphan =
            |worker: &&DuckWorker| owner(worker).is_none_or(|owner| !live.contains(owner));
        Ok(workers.iter().filter(is_orphan).count())
    }

    /// Follows until each of these has another owner.
    pub fn adoption(&self, from: &str, share: HashSet<String>) -> Arrivals {
        let (from, count) = (from.to_owned(), share.len());
        Arrivals::watch(&self.namespace.client, self.name(), count, move |worker| {
            share.contains(&worker.name_any()) && owner(worker) != Some(&from)
        })
    }

    /// Its pods.
    pub async fn pods(&self) -> Result<Pods> {
        let pods = self.namespace.api::<Pod>().list(&ListParams::default()).await?;
        let there = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(there.map(|pod| (pod.name_any(), pod.uid())).collect())
    }
}

fn owner(worker: &DuckWorker) -> Option<&str> {
    worker.status.as_ref()?.owner.as_deref()
}

/// How many pods are gone, told to stop, new or others than before.
pub fn touched(before: &Pods, after: &Pods) -> usize {
    let lost = before.iter().filter(|(name, uid)| after.get(*name) != Some(uid)).count();
    let new = after.keys().filter(|name| !before.contains_key(*name)).count();
    lost + new
}
