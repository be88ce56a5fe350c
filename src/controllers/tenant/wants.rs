//! What the tenants whose claims wait may be given. By the caches: what is decided in the end is
//! decided by the ledger.

use duckworker_client::{TenantCache, TenantSnapshot};
use duckworker_core::Tenant;
use duckworker_core::plan::binding::queue::{Want, Wants};
use duckworker_core::pool::Pool;

use crate::controllers::claim::waiting::Waiting;

/// What each tenant may be given whose claims wait for workers of a pool.
pub fn wants(tenants: &TenantCache, waiting: &Waiting, pool: &Pool) -> Wants {
    let namespace = &pool.key.namespace;
    let want = |tenant: Tenant| {
        let declared = tenants.named(namespace, tenant.as_str());
        let want = Want::of(declared.as_ref().map(TenantSnapshot::tenant), pool);
        (tenant, want)
    };
    waiting.tenants(namespace, &pool.key.name).into_iter().map(want).collect()
}
