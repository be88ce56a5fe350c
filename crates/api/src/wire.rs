//! The border outwards: a decided status becomes the body of a write. What this version does not
//! know stays as it was stored.

use duckworker_core::WorkerStatus;
use duckworker_core::conditions::Condition;
use duckworker_core::worker::{ClaimRef, PodRef, TransitionRecord};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as WireCondition, Time};

use crate::parse;
use crate::worker::{
    ClaimReference, DuckWorkerStatus, Foreign, PodReference, TransitionEntry, WriteLog,
};

/// The wire form of a status, based on the one that is stored.
pub fn status(new: &WorkerStatus, stored: Option<&DuckWorkerStatus>) -> DuckWorkerStatus {
    let foreign = stored.map(|s| s.foreign.clone()).unwrap_or_default();
    DuckWorkerStatus {
        state: new.state.to_string(),
        owner: new.owner().map(ToString::to_string),
        owner_epoch: new.ownership.as_ref().map(|o| o.epoch.get()),
        tenant: new.tenant.as_ref().map(ToString::to_string),
        claim: new.claim.as_ref().map(|claim| claim_of(claim, stored)),
        writes: Some(WriteLog {
            seq: new.writes.seq,
            ids: new.writes.ids.iter().map(ToString::to_string).collect(),
            foreign: stored
                .and_then(|s| s.writes.as_ref())
                .map(|w| w.foreign.clone())
                .unwrap_or_default(),
        }),
        transitions: new.transitions.iter().map(|t| transition_of(t, stored)).collect(),
        state_since: new.state_since,
        idle_since: new.idle_since,
        pod: new.pod.as_ref().map(|pod| pod_of(pod, stored)),
        secret_name: new.secret_name.clone(),
        endpoint: new.endpoint.clone(),
        server_name: new.server_name.clone(),
        credentials_expire_at: new.credentials_expire_at,
        observed_generation: new.observed_generation,
        conditions: new.conditions.iter().map(condition_of).collect(),
        foreign,
    }
}

fn claim_of(new: &ClaimRef, stored: Option<&DuckWorkerStatus>) -> ClaimReference {
    let old = stored.and_then(|s| s.claim.as_ref());
    match old {
        Some(old) if parse::claim(old).as_ref() == Ok(new) => old.clone(),
        _ => ClaimReference {
            name: new.name.clone(),
            uid: new.uid.to_string(),
            foreign: Foreign::new(),
        },
    }
}

fn pod_of(new: &PodRef, stored: Option<&DuckWorkerStatus>) -> PodReference {
    let foreign = stored
        .and_then(|s| s.pod.as_ref())
        .filter(|old| old.uid == new.uid.as_str())
        .map(|old| old.foreign.clone())
        .unwrap_or_default();
    PodReference { name: new.name.clone(), uid: new.uid.to_string(), ip: new.ip.clone(), foreign }
}

fn transition_of(new: &TransitionRecord, stored: Option<&DuckWorkerStatus>) -> TransitionEntry {
    let old = stored
        .into_iter()
        .flat_map(|s| &s.transitions)
        .find(|old| parse::transition(old).as_ref() == Ok(new));
    old.cloned().unwrap_or_else(|| TransitionEntry {
        name: new.name.as_str().to_owned(),
        reason: new.reason.clone(),
        by: new.by.clone(),
        epoch: new.epoch.get(),
        at: new.at,
        foreign: Foreign::new(),
    })
}

pub(crate) fn condition_of(new: &Condition) -> WireCondition {
    WireCondition {
        type_: new.kind.clone(),
        status: new.status.to_string(),
        reason: new.reason.clone(),
        message: new.message.clone(),
        observed_generation: new.observed_generation,
        last_transition_time: Time(new.since),
    }
}
