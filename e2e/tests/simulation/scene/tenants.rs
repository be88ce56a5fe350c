//! Tenants in the scene: their caps come, change and go.

use duckworker_api::DuckTenant;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
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
}
