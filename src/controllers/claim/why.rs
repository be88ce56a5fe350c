//! Why a claim waits, in a word and a sentence.

use duckworker_client::PoolSnapshot;
use duckworker_core::claim::Claim;
use duckworker_core::conditions::ConditionStatus;
use duckworker_core::plan::binding::queue::Want;
use duckworker_core::plan::binding::status::Why;
use duckworker_core::plan::pool::report::PoolCondition;
use duckworker_core::pool::Pool;
use duckworker_core::tenant::Allowance;

use super::context::Context;

/// Why a claim waits, in a word and a sentence.
pub fn why(
    context: &Context,
    claim: &Claim,
    pool: Option<&PoolSnapshot>,
    want: Option<&Want>,
) -> Why {
    let Some(pool) = pool.map(PoolSnapshot::pool) else {
        let message = format!("there is no DuckWorkerPool {} in this namespace", claim.pool);
        return Why::new("PoolNotFound", message);
    };
    if pool.deletion.is_some() {
        return Why::new("PoolDeleting", format!("pool {} is being deleted", claim.pool));
    }
    let before = context.waiting.before(claim);
    let place = match before {
        0 => "it is the first of its tenant".to_owned(),
        // Exact numbers would cost a write with every claim that leaves the queue.
        1..10 => format!("{before} of its tenant are before it"),
        _ => format!("more than {} of its tenant are before it", before / 10 * 10),
    };
    let (reason, message) =
        tenant_trouble(context, claim, want).unwrap_or_else(|| pool_trouble(pool, want));
    Why::new(reason, format!("{message}; {place}"))
}

/// Why a claim gets no worker, whatever its pool has.
fn tenant_trouble(
    context: &Context,
    claim: &Claim,
    want: Option<&Want>,
) -> Option<(String, String)> {
    let (namespace, name) = (&claim.key.namespace, &claim.tenant);
    let Some(declared) = context.caches.tenants.named(namespace, name.as_str()) else {
        let refused = want.is_some_and(|want| want.allowance == Allowance::Nothing);
        let message = format!(
            "pool {} serves declared tenants only: create DuckTenant {name} in this namespace",
            claim.pool
        );
        return refused.then(|| ("TenantUndeclared".to_owned(), message));
    };
    let tenant = declared.tenant();
    if tenant.deletion.is_some() {
        let message = format!("DuckTenant {name} is being deleted");
        return Some(("TenantDeleting".to_owned(), message));
    }
    let (cap, used) = (tenant.terms.max_workers?, tenant.status.ledger.used());
    let message = format!("tenant {name} holds {used} workers and may hold {cap}");
    (used >= cap).then(|| ("TenantAtCap".to_owned(), message))
}

fn pool_trouble(pool: &Pool, want: Option<&Want>) -> (String, String) {
    let condition = |kind: PoolCondition| {
        let kind: &str = kind.into();
        pool.status.conditions.iter().find(|condition| condition.kind == kind)
    };
    if let Some(degraded) =
        condition(PoolCondition::Degraded).filter(|c| c.status == ConditionStatus::True)
    {
        return (degraded.reason.clone(), format!("workers do not start: {}", degraded.message));
    }
    if pool.status.seats.taken.len() >= pool.terms.max_workers {
        let message = format!("all {} workers of the pool are in use", pool.terms.max_workers);
        return ("PoolAtMax".to_owned(), message);
    }
    if let Some(pin) = want.map(|want| &want.image).filter(|pin| **pin != pool.terms.image) {
        let message = format!("no worker of {pin}, which its tenant is pinned to, is idle");
        return ("NoneOfVersion".to_owned(), format!("{message}; one is being started"));
    }
    ("PoolEmpty".to_owned(), "no worker is idle; more are being started".to_owned())
}
