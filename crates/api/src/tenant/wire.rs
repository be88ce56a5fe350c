//! The border outwards.

use duckworker_core::Uid;
use duckworker_core::tenant::{Entry, TenantStatus};

use super::{DuckTenantStatus, HeldWorker};
use crate::wire::condition_of;

/// The wire form of a status, based on the one that is stored.
pub fn status(new: &TenantStatus, stored: Option<&DuckTenantStatus>) -> DuckTenantStatus {
    let ledger = new.ledger.entries().map(|(uid, entry)| held(uid, entry, stored)).collect();
    DuckTenantStatus {
        used: Some(i64::try_from(new.ledger.used()).unwrap_or(i64::MAX)),
        ledger,
        observed_generation: new.observed_generation,
        conditions: new.conditions.iter().map(condition_of).collect(),
        foreign: stored.map(|status| status.foreign.clone()).unwrap_or_default(),
    }
}

fn held(uid: &Uid, entry: &Entry, stored: Option<&DuckTenantStatus>) -> HeldWorker {
    let known = stored.and_then(|s| s.ledger.iter().find(|old| old.worker_uid == uid.as_str()));
    HeldWorker {
        worker_uid: uid.to_string(),
        worker: entry.worker.clone(),
        base_version: entry.base.as_str().to_owned(),
        by: entry.by.to_string(),
        at: entry.at,
        foreign: known.map(|old| old.foreign.clone()).unwrap_or_default(),
    }
}
