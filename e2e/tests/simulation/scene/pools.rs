//! Pools and claims in the scene: people apply, scale, change and delete them.

use std::collections::BTreeMap;

use anyhow::Result;
use duckworker_api::{DuckWorkerClaim, DuckWorkerPool};
use duckworker_core::WorkerState;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::Scene;
use crate::process::NAMESPACE;

/// Two pools, so that their workers are mixed up if anybody mixes them up.
const POOLS: [&str; 2] = ["small", "large"];
pub(super) const TENANTS: [&str; 3] = ["t0", "t1", "t2"];
const DISRUPTIONS: [&str; 2] = ["Protect", "AllowIdle"];
/// More claims than this at once are not made: the calm shall have workers for all.
const CLAIMS: usize = 6;

impl Scene {
    fn pools(&self) -> Api<DuckWorkerPool> {
        Api::namespaced(self.workers.clone().into_client(), NAMESPACE)
    }

    pub(super) fn claims(&self) -> Api<DuckWorkerClaim> {
        Api::namespaced(self.workers.clone().into_client(), NAMESPACE)
    }

    /// A pool is applied: it comes, or has another size, another maximum, another template.
    pub(super) async fn apply_pool(&mut self) {
        let name = POOLS[self.chance.index(POOLS.len())];
        let image = format!("duck:{}", self.chance.below(1..3));
        let pool = json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorkerPool",
            "metadata": { "name": name },
            "spec": {
                "replicas": self.chance.below(0..4),
                "maxWorkers": self.chance.below(2..7),
                "hotIdle": { "ttlSeconds": 30 },
                "disruption": DISRUPTIONS[self.chance.index(DISRUPTIONS.len())],
                "demand": { "maxExtra": self.chance.below(0..3), "windowSeconds": 60 },
                "spawn": { "backoffSeconds": 5, "maxBackoffSeconds": 20 },
                "template": { "spec": {
                    "connection": { "protocol": "None" },
                    "drainTimeoutSeconds": 20,
                    "startupTimeoutSeconds": 60,
                    "template": { "spec": { "containers": [{ "name": "duckdb", "image": image }] } },
                } },
            },
        });
        // Refused while the server is down: nothing is changed then.
        let changed = self.pools().patch(name, &PatchParams::default(), &Patch::Merge(&pool)).await;
        if changed.is_err()
            && let Ok(pool) = serde_json::from_value(pool)
        {
            let _ = self.pools().create(&PostParams::default(), &pool).await;
        }
    }

    /// A pool goes, its workers with it.
    pub(super) async fn delete_pool(&mut self) {
        let name = POOLS[self.chance.index(POOLS.len())];
        let _ = self.pools().delete(name, &DeleteParams::background()).await;
    }

    /// A tenant wants a worker.
    pub(super) async fn claim(&mut self) {
        let Ok(there) = self.claims().list(&ListParams::default()).await else { return };
        if there.items.len() >= CLAIMS {
            return self.give_back().await;
        }
        self.made += 1;
        let loss = if self.chance.strikes(0.5) { "Rebind" } else { "Fail" };
        let claim: Result<DuckWorkerClaim, _> = serde_json::from_value(json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorkerClaim",
            "metadata": { "name": format!("claim-{}", self.made) },
            "spec": {
                "poolName": POOLS[self.chance.index(POOLS.len())],
                "tenant": TENANTS[self.chance.index(TENANTS.len())],
                "timeoutSeconds": 120,
                "onWorkerLoss": loss,
            },
        }));
        if let Ok(claim) = claim {
            let _ = self.claims().create(&PostParams::default(), &claim).await;
        }
    }

    /// A claim is given back.
    pub(super) async fn give_back(&mut self) {
        let Ok(list) = self.claims().list(&ListParams::default()).await else { return };
        if list.items.is_empty() {
            return;
        }
        let claim = &list.items[self.chance.index(list.items.len())];
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let _ = self.claims().delete(name, &DeleteParams::default()).await;
    }

    /// L1: in the end each pool is as full as it should be, and its claims have workers or are
    /// over.
    pub(super) async fn unfilled(&self) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        let workers = self.workers.list(&ListParams::default()).await?.items;
        let mut free = BTreeMap::new();
        for pool in self.pools().list(&ListParams::default()).await?.items {
            let name = pool.metadata.name.clone().unwrap_or_default();
            let its = workers.iter().filter(|worker| {
                let mut owners = worker.metadata.owner_references.iter().flatten();
                owners.any(|owner| Some(&owner.uid) == pool.metadata.uid.as_ref())
            });
            let states = its.filter_map(|worker| worker.status.as_ref()?.state.parse().ok());
            let states: Vec<WorkerState> = states.collect();
            let idle = states.iter().filter(|state| **state == WorkerState::Idle).count();
            let active = states.iter().filter(|state| state.is_active()).count();
            let (replicas, max) = (pool.spec.replicas, pool.spec.max_workers);
            let room = usize::try_from(max)?.saturating_sub(active - idle);
            let wanted = usize::try_from(replicas)?.min(room);
            free.insert(name.clone(), idle);
            if idle != wanted {
                wrong.push(format!("L1: pool {name} has {idle} idle of {wanted}: {states:?}"));
            }
        }
        let full = self.full_tenants().await?;
        for claim in self.claims().list(&ListParams::default()).await?.items {
            let name = claim.metadata.name.clone().unwrap_or_default();
            let phase = claim.status.as_ref().map(|status| status.phase.as_str());
            let idle = free.get(&claim.spec.pool_name).copied().unwrap_or(0);
            let waits = phase.is_none_or(|phase| phase == "Pending");
            let full = full.contains(&claim.spec.tenant);
            if waits && idle > 0 && !full {
                wrong.push(format!("L6: {name} waits, and {idle} workers are idle"));
            }
        }
        Ok(wrong)
    }
}
