//! The border inwards.

use std::time::Duration;

use duckworker_core::claim::{Bound, Claim, ClaimKey, ClaimStatus, OnLoss};
use duckworker_core::{Epoch, Tenant, Uid};
use jiff::Timestamp;

use super::{DuckWorkerClaim, DuckWorkerClaimStatus, OnWorkerLoss};
use crate::parse::{self, Unreadable};

/// Parses one claim.
///
/// # Errors
/// [`Unreadable`] says which part this version cannot understand.
pub fn claim(object: &DuckWorkerClaim) -> Result<Claim, Unreadable> {
    let (meta, spec) = (&object.metadata, &object.spec);
    let key = crate::pool::parse::key(meta)?;
    Ok(Claim {
        key: ClaimKey { namespace: key.namespace, name: key.name, uid: key.uid },
        generation: meta.generation.unwrap_or_default(),
        created: meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        deletion: meta.deletion_timestamp.as_ref().map(|time| time.0),
        pool: spec.pool_name.clone(),
        tenant: Tenant::new(&spec.tenant)?,
        timeout: spec.timeout_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs),
        on_loss: match spec.on_worker_loss {
            OnWorkerLoss::Rebind => OnLoss::Rebind,
            OnWorkerLoss::Fail => OnLoss::Fail,
        },
        status: object.status.as_ref().map_or_else(|| Ok(ClaimStatus::default()), status)?,
    })
}

fn status(wire: &DuckWorkerClaimStatus) -> Result<ClaimStatus, Unreadable> {
    let worker = wire.worker.as_ref().map(|worker| {
        let epoch = Epoch::new(worker.owner_epoch).ok_or(Unreadable::Ownership)?;
        Ok::<_, Unreadable>(Bound { name: worker.name.clone(), uid: Uid::new(&worker.uid)?, epoch })
    });
    Ok(ClaimStatus {
        phase: wire.phase.parse().map_err(|_| Unreadable::State(wire.phase.clone()))?,
        worker: worker.transpose()?,
        source: wire.source.as_ref().and_then(|source| source.parse().ok()),
        endpoint: wire.endpoint.clone(),
        server_name: wire.server_name.clone(),
        connection_secret: wire.connection_secret_name.clone(),
        ready_at: wire.ready_at,
        observed_generation: wire.observed_generation,
        conditions: wire.conditions.iter().map(parse::condition).collect::<Result<_, _>>()?,
    })
}
