//! How each fault is brought about. What people do is asked of the API server that no fault hits, and a
//! deed is over only when it is to be seen.

use std::time::Duration;

use anyhow::{Context as _, Result};
use duckworker_api::{DuckWorker, DuckWorkerPool};
use duckworker_history::line::{PODS, POOLS, SECRETS, WORKERS, uid_of};
use duckworker_history::seen::{is_deleting, made_for};
use duckworker_history::world::{Object, World};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde_json::json;

use super::Times;
use super::fleet::Fleet;
use super::plane::Plane;
use super::schedule::{Fault, Pick};
use super::sight::Sight;
use super::site;
use super::traffic::{self, named};
use crate::TestNamespace;
use crate::wait::Watchable;

/// How long what people do may take to be seen.
const SEEN: Duration = Duration::from_mins(1);
/// How long Kubernetes itself may take after an outage.
const KUBERNETES: Duration = Duration::from_mins(4);
/// The pod that shows that it works.
const PROBE: &str = "probe";

/// Everything that can be hit.
pub struct Target<'a> {
    /// The namespace, on the API server that faults hit.
    pub ns: &'a TestNamespace<'a>,
    /// A client of the one that they do not hit.
    pub client: Client,
    /// What is to be seen.
    pub sight: &'a Sight,
    /// The controllers.
    pub fleet: &'a Fleet,
    /// The foreign control plane.
    pub plane: &'a Plane,
    /// The times of Leases.
    pub times: &'a Times,
}

impl Target<'_> {
    /// Brings a fault about, and returns when it is over. Tells whom it hit.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn strike(&self, fault: &Fault) -> Result<String> {
        let hit = match fault {
            Fault::Kill(pick) => self.kill(*pick).await?,
            Fault::Freeze(pick) => self.freeze(*pick).await?,
            Fault::Restart(pick) => self.restart(*pick).await?,
            Fault::KillApiServer(away) => self.kill_api_server(*away).await?,
            Fault::FreezeStore(still) => self.freeze_store(*still).await?,
            Fault::DeletePod(pick) => self.delete::<Pod>(PODS, *pick).await?,
            Fault::DeleteSecret(pick) => self.delete::<Secret>(SECRETS, *pick).await?,
            Fault::DeleteWorker(pick) => self.delete::<DuckWorker>(WORKERS, *pick).await?,
            Fault::DeletePool(pick) => self.delete_pool(*pick).await?,
            Fault::Scale(pick, to) => self.scale(*pick, *to).await?,
            Fault::KillPlane => {
                self.plane.kill().await;
                String::new()
            }
        };
        Ok(if hit.is_empty() { fault.to_string() } else { format!("{fault} ({hit})") })
    }

    async fn kill(&self, pick: Pick) -> Result<String> {
        let replica = self.fleet.take(pick).await;
        replica.start_again()?;
        Ok(replica.name().to_owned())
    }

    async fn freeze(&self, pick: Pick) -> Result<String> {
        let replica = self.fleet.take(pick).await;
        let component = replica.process().component();
        component.pause()?;
        tokio::time::sleep(self.times.frozen()).await;
        component.resume()?;
        Ok(replica.name().to_owned())
    }

    async fn restart(&self, pick: Pick) -> Result<String> {
        let replica = self.fleet.take(pick).await;
        let left = replica.process().stop().await;
        left.with_context(|| format!("{} does not leave well", replica.name()))?;
        replica.start_again()?;
        Ok(replica.name().to_owned())
    }

    async fn kill_api_server(&self, away: Duration) -> Result<String> {
        self.ns.cluster.api_server().kill()?;
        tokio::time::sleep(away).await;
        self.ns.cluster.api_server().start()?;
        self.ns.cluster.await_api_server().await?;
        // Refused with 403 by a server that knows no roles yet, it may never schedule a pod again.
        let scheduler = self.ns.cluster.scheduler()?;
        scheduler.kill()?;
        scheduler.start()?;
        self.await_kubernetes().await?;
        Ok(String::new())
    }

    async fn freeze_store(&self, still: Duration) -> Result<String> {
        self.ns.cluster.etcd().pause()?;
        tokio::time::sleep(still).await;
        self.ns.cluster.etcd().resume()?;
        self.await_kubernetes().await?;
        Ok(String::new())
    }

    /// An outage is over when the scheduler and the nodes, which suffered as well, start a pod that is
    /// not ours: what comes right after that is measured.
    async fn await_kubernetes(&self) -> Result<()> {
        let pod = json!({
            "metadata": { "name": PROBE },
            "spec": { "containers": [{ "name": "probe", "image": "example.invalid/probe:1" }] },
        });
        let api = self.api::<Pod>();
        api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
        let runs = |world: &World| {
            named(world, PODS, PROBE).is_some_and(|pod| pod.value["status"]["phase"] == "Running")
        };
        self.sight.until(KUBERNETES, "started: a pod that is not ours", runs).await?;
        api.delete(PROBE, &DeleteParams::default().grace_period(0)).await?;
        let gone = |world: &World| named(world, PODS, PROBE).is_none();
        self.sight.until(KUBERNETES, "gone: a pod that is not ours", gone).await
    }

    /// Deletes one of a kind that belongs to a worker, or a worker itself.
    async fn delete<K>(&self, kind: &str, pick: Pick) -> Result<String>
    where
        K: Watchable + Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
    {
        let Some((name, uid)) = self.sight.read(|world| choose(world, kind, pick)) else {
            return Ok("there is none".to_owned());
        };
        let by_force = kind == PODS;
        let how = DeleteParams::default();
        let how = if by_force { how.grace_period(0) } else { how };
        gone_is_fine(self.api::<K>().delete(&name, &how).await)?;
        let seen = |w: &World| w.object(kind, &uid).is_none_or(|o| is_deleting(&o.value));
        self.sight.until(SEEN, &format!("deleted: {name}"), seen).await?;
        Ok(name)
    }

    async fn delete_pool(&self, pick: Pick) -> Result<String> {
        let name = traffic::POOLS[pick % traffic::POOLS.len()];
        let api = self.api::<DuckWorkerPool>();
        gone_is_fine(api.delete(name, &DeleteParams::background()).await)?;
        let gone = |world: &World| named(world, POOLS, name).is_none();
        self.sight.until(SEEN, &format!("gone: {name}"), gone).await?;
        api.create(&PostParams::default(), &serde_json::from_value(site::pool(name))?).await?;
        let there = |world: &World| named(world, POOLS, name).is_some();
        self.sight.until(SEEN, &format!("there: {name}"), there).await?;
        Ok(name.to_owned())
    }

    async fn scale(&self, pick: Pick, to: i64) -> Result<String> {
        let name = traffic::POOLS[pick % traffic::POOLS.len()];
        let patch = Patch::Merge(json!({ "spec": { "replicas": to } }));
        self.api::<DuckWorkerPool>().patch(name, &PatchParams::default(), &patch).await?;
        let scaled = |world: &World| {
            named(world, POOLS, name).is_some_and(|pool| pool.value["spec"]["replicas"] == to)
        };
        self.sight.until(SEEN, &format!("scaled: {name}"), scaled).await?;
        Ok(name.to_owned())
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.ns.name)
    }
}

/// One of a kind by its number, in the order of names: a worker, or what belongs to one.
fn choose(world: &World, kind: &str, pick: Pick) -> Option<(String, String)> {
    let is_ours = |object: &Object| kind == WORKERS || made_for(&object.value).is_some();
    let stays = |object: &&Object| is_ours(object) && !is_deleting(&object.value);
    let all = world.all(kind).map(|(_, object)| object).filter(stays);
    let named = |object: &Object| {
        let name = object.value["metadata"]["name"].as_str().unwrap_or_default();
        (name.to_owned(), uid_of(&object.value).to_owned())
    };
    let mut all: Vec<_> = all.map(named).collect();
    all.sort();
    let count = all.len();
    (count > 0).then(|| all.swap_remove(pick % count))
}

/// Somebody else was quicker.
fn gone_is_fine<T>(answer: kube::Result<T>) -> kube::Result<()> {
    match answer {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}
