//! Pools and claims in the scene: people apply, scale, change and delete them.

use anyhow::Result;
use duckworker_api::{DuckWorkerClaim, DuckWorkerPool};
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
}
