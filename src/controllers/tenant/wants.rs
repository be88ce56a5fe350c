//! What the tenants whose claims wait may be given. By the caches: what is decided in the end is
//! decided by the ledger.

use duckworker_client::{TenantCache, TenantSnapshot};
use duckworker_core::Tenant;
use duckworker_core::plan::binding::queue::{Want, Wants};
use duckworker_core::pool::{Pool, Undeclared};
use duckworker_core::tenant::{Allowance, DeclaredTenant};

use crate::controllers::claim::waiting::Waiting;

/// What each tenant may be given whose claims wait for workers of a pool.
pub fn wants(tenants: &TenantCache, waiting: &Waiting, pool: &Pool) -> Wants {
    let namespace = &pool.key.namespace;
    let want = |tenant: Tenant| {
        let declared = tenants.named(namespace, tenant.as_str());
        let want = want(declared.as_ref().map(TenantSnapshot::tenant), pool);
        (tenant, want)
    };
    waiting.tenants(namespace, &pool.key.name).into_iter().map(want).collect()
}

/// What one tenant may be given.
fn want(declared: Option<&DeclaredTenant>, pool: &Pool) -> Want {
    let pin = declared.and_then(|tenant| tenant.terms.image.clone());
    let allowance = match (declared, pool.terms.undeclared) {
        (Some(tenant), _) => tenant.allowance(),
        (None, Undeclared::Allow) => Allowance::More(usize::MAX),
        (None, Undeclared::Refuse) => Allowance::Nothing,
    };
    Want { image: pin.unwrap_or_else(|| pool.terms.image.clone()), allowance }
}
