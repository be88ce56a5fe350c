//! The border outwards.

use duckworker_core::claim::ClaimStatus;

use super::{BoundWorker, DuckWorkerClaimStatus};
use crate::wire::condition_of;

/// The wire form of a status, based on the one that is stored.
pub fn status(new: &ClaimStatus, stored: Option<&DuckWorkerClaimStatus>) -> DuckWorkerClaimStatus {
    DuckWorkerClaimStatus {
        phase: new.phase.to_string(),
        worker: new.worker.as_ref().map(|worker| BoundWorker {
            name: worker.name.clone(),
            uid: worker.uid.to_string(),
            owner_epoch: worker.epoch.get(),
        }),
        source: new.source.map(|source| source.to_string()),
        endpoint: new.endpoint.clone(),
        server_name: new.server_name.clone(),
        connection_secret_name: new.connection_secret.clone(),
        ready_at: new.ready_at,
        observed_generation: new.observed_generation,
        conditions: new.conditions.iter().map(condition_of).collect(),
        foreign: stored.map(|status| status.foreign.clone()).unwrap_or_default(),
    }
}
