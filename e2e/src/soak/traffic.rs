//! Everyday work: claims of several tenants come and go, dedicated workers are applied and deleted.
//! It is asked of an API server that no fault hits, so that people do not stop when ours cannot work.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use duckworker_api::{DuckWorker, DuckWorkerClaim};
use duckworker_history::line::{CLAIMS, WORKERS};
use duckworker_history::seen::is_deleting;
use duckworker_history::world::{Object, World};
use futures::future::join_all;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, Resource};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::sight::Sight;
use crate::wait::Watchable;
use crate::worker::dedicated;

/// The tenant that has a cap.
pub const CAPPED: &str = "capped";
/// The pools that claims are for.
pub const POOLS: [&str; 2] = ["large", "small"];
/// Who claims.
const TENANTS: [&str; 4] = [CAPPED, CAPPED, "acme", "umbrella"];
/// How many claims there are at most.
const CLAIMERS: u64 = 6;
/// How many dedicated workers there are at most.
const DEDICATED: u64 = 2;
/// Between two deeds of the same person, in milliseconds.
const PAUSE: std::ops::Range<u64> = 200..2500;
/// How long one deed may take: a store that stands still answers nobody.
const DEED: Duration = Duration::from_secs(8);

/// The people who do the everyday work.
pub struct Traffic<'a> {
    /// The API server that they ask.
    pub client: Client,
    /// The namespace.
    pub namespace: &'a str,
    /// What is to be seen of it.
    pub sight: &'a Sight,
    /// Held for reading during a deed.
    pub work: Arc<RwLock<()>>,
    /// What their chance comes from.
    pub seed: u64,
}

impl Traffic<'_> {
    /// Goes on for ever.
    pub async fn flow(&self) {
        let claimers = (0..CLAIMERS).map(|number| self.person(number, false));
        let owners = (CLAIMERS..CLAIMERS + DEDICATED).map(|number| self.person(number, true));
        join_all(claimers.chain(owners)).await;
    }

    async fn person(&self, number: u64, is_owner: bool) {
        let mut rng = StdRng::seed_from_u64(self.seed.wrapping_mul(1000).wrapping_add(number));
        loop {
            let pause = Duration::from_millis(rng.random_range(PAUSE));
            tokio::time::sleep(pause).await;
            let _at_work = self.work.read().await;
            // Who got no answer looks again the next time, as people do.
            let _ = if is_owner {
                let name = format!("own{number}");
                let worker = dedicated(&name, "initech");
                self.toggle::<DuckWorker>(WORKERS, &name, worker).await
            } else {
                let name = format!("claim{number}");
                let claim = claim(&mut rng, &name);
                self.toggle::<DuckWorkerClaim>(CLAIMS, &name, claim).await
            };
        }
    }

    /// Deletes what is there, or creates it; and waits until that is to be seen.
    async fn toggle<K>(&self, kind: &str, name: &str, manifest: Value) -> Result<()>
    where
        K: Watchable + Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        match self.sight.read(|world| named(world, kind, name).map(|o| is_deleting(&o.value))) {
            Some(true) => Ok(()),
            Some(false) => {
                let delete = DeleteParams::default();
                tokio::time::timeout(DEED, api.delete(name, &delete)).await??;
                let going = |w: &World| named(w, kind, name).is_none_or(|o| is_deleting(&o.value));
                self.sight.until(DEED, "deleted", going).await
            }
            None => {
                let object: K = serde_json::from_value(manifest).context("no such object")?;
                tokio::time::timeout(DEED, api.create(&PostParams::default(), &object)).await??;
                self.sight.until(DEED, "there", |world| named(world, kind, name).is_some()).await
            }
        }
    }
}

fn claim(rng: &mut StdRng, name: &str) -> Value {
    let mut pick = |of: &[&'static str]| of.choose(rng).copied().unwrap_or_default();
    let (pool, tenant) = (pick(&POOLS), pick(&TENANTS));
    let mut claim = crate::claim::claim(name, pool, tenant);
    claim["spec"]["onWorkerLoss"] = json!(pick(&["Rebind", "Fail"]));
    claim
}

/// An object by its name.
pub fn named<'a>(world: &'a World, kind: &'a str, name: &str) -> Option<&'a Object> {
    let mut all = world.all(kind).map(|(_, object)| object);
    all.find(|object| object.value["metadata"]["name"] == name)
}
