//! Tenants in the scene: their caps come, change and go.

use std::collections::BTreeSet;

use anyhow::Result;
use duckworker_api::DuckTenant;
use duckworker_core::WorkerState;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::Scene;
use super::pools::TENANTS;
use crate::process::NAMESPACE;

impl Scene {
    fn tenants(&self) -> Api<DuckTenant> {
        Api::namespaced(self.workers.clone().into_client(), NAMESPACE)
    }

    /// A tenant is declared, or gets another cap, or none.
    pub(super) async fn apply_tenant(&mut self) {
        let name = TENANTS[self.chance.index(TENANTS.len())];
        let cap = self.chance.strikes(0.8).then(|| self.chance.below(0..4));
        let tenant = json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckTenant",
            "metadata": { "name": name }, "spec": { "maxWorkers": cap },
        });
        // Refused while the server is down: nothing is changed then.
        let patch = Patch::Merge(&tenant);
        let changed = self.tenants().patch(name, &PatchParams::default(), &patch).await;
        if changed.is_err()
            && let Ok(tenant) = serde_json::from_value(tenant)
        {
            let _ = self.tenants().create(&PostParams::default(), &tenant).await;
        }
    }

    /// A tenant is declared no more: it goes on without a cap.
    pub(super) async fn delete_tenant(&mut self) {
        let name = TENANTS[self.chance.index(TENANTS.len())];
        let _ = self.tenants().delete(name, &DeleteParams::default()).await;
    }

    /// The tenants that hold all that they may hold.
    pub(super) async fn full_tenants(&self) -> Result<BTreeSet<String>> {
        let tenants = self.tenants().list(&ListParams::default()).await?.items;
        let full = tenants.into_iter().filter(|tenant| {
            let used = tenant.status.as_ref().and_then(|status| status.used).unwrap_or(0);
            tenant.spec.max_workers.is_some_and(|cap| used >= cap)
        });
        Ok(full.filter_map(|tenant| tenant.metadata.name).collect())
    }

    /// L11: in the end each ledger holds what its tenant holds, and nothing else.
    pub(super) async fn unbalanced(&self) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        let workers = self.workers.list(&ListParams::default()).await?.items;
        for tenant in self.tenants().list(&ListParams::default()).await?.items {
            let name = tenant.metadata.name.clone().unwrap_or_default();
            if tenant.spec.max_workers.is_none() {
                continue;
            }
            let held = workers.iter().filter(|worker| {
                let status = worker.status.as_ref();
                let state = status.and_then(|status| status.state.parse::<WorkerState>().ok());
                status.and_then(|status| status.tenant.as_ref()) == Some(&name)
                    && state.is_some_and(WorkerState::is_active)
            });
            let held: BTreeSet<_> = held.filter_map(|w| w.metadata.uid.clone()).collect();
            let status = tenant.status.unwrap_or_default();
            let entered = status.ledger.into_iter().map(|entry| entry.worker_uid);
            let entered: BTreeSet<String> = entered.collect();
            if held != entered {
                wrong.push(format!("L11: {name} holds {held:?}, its ledger {entered:?}"));
            }
            if status.observed_generation != tenant.metadata.generation {
                wrong.push(format!("L11: the cap of {name} is not said to hold"));
            }
        }
        Ok(wrong)
    }
}
