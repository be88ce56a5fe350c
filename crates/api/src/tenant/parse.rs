//! The border inwards.

use duckworker_core::tenant::{
    DeclaredTenant, Entry, HotIdleOverrides, Ledger, TenantKey, TenantStatus, TenantTerms,
};
use duckworker_core::{Image, Owner, Tenant, Uid, Version};

use super::{DuckTenant, DuckTenantSpec, DuckTenantStatus, HeldWorker};
use crate::parse::{self, Unreadable};
use crate::pool::parse::{count, key, seconds};

/// Parses one tenant.
///
/// # Errors
/// [`Unreadable`] says which part this version cannot understand.
pub fn tenant(object: &DuckTenant) -> Result<DeclaredTenant, Unreadable> {
    let meta = &object.metadata;
    let key = key(meta)?;
    Ok(DeclaredTenant {
        key: TenantKey { namespace: key.namespace, name: Tenant::new(key.name)?, uid: key.uid },
        generation: meta.generation.unwrap_or_default(),
        deletion: meta.deletion_timestamp.as_ref().map(|time| time.0),
        terms: terms(&object.spec)?,
        status: object.status.as_ref().map_or_else(|| Ok(TenantStatus::default()), status)?,
    })
}

fn terms(spec: &DuckTenantSpec) -> Result<TenantTerms, Unreadable> {
    let hot_idle = spec.hot_idle.as_ref();
    Ok(TenantTerms {
        max_workers: spec.max_workers.map(count),
        image: spec.image.clone().map(Image::new).transpose()?,
        hot_idle: hot_idle.map_or_else(HotIdleOverrides::default, |wire| HotIdleOverrides {
            ttl: wire.ttl_seconds.map(seconds),
            min_per_tenant: wire.min_per_tenant.map(count),
            max_per_tenant: wire.max_per_tenant.map(count),
        }),
    })
}

fn status(wire: &DuckTenantStatus) -> Result<TenantStatus, Unreadable> {
    let ledger: Result<Vec<_>, Unreadable> = wire.ledger.iter().map(entry).collect();
    Ok(TenantStatus {
        observed_generation: wire.observed_generation,
        ledger: Ledger::of(ledger?),
        conditions: wire.conditions.iter().map(parse::condition).collect::<Result<_, _>>()?,
    })
}

fn entry(wire: &HeldWorker) -> Result<(Uid, Entry), Unreadable> {
    let entry = Entry {
        worker: wire.worker.clone(),
        base: Version::new(&wire.base_version),
        by: Owner::new(&wire.by)?,
        at: wire.at,
    };
    Ok((Uid::new(&wire.worker_uid)?, entry))
}
