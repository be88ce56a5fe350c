//! The border inwards: a `DuckWorker` becomes a core `Worker`, or is refused as unreadable.
//! What cannot be read is left alone: it may be a newer version's.

use std::time::Duration;

use duckworker_core::conditions::{Condition, ConditionStatus};
use duckworker_core::names::{Epoch, Image, InvalidName, Owner, Tenant, Uid, WriteId};
use duckworker_core::plan::health::HealthTerms;
use duckworker_core::worker::{
    ClaimRef, ConnectionTerms, Ownership, PodRef, Protocol, RecordedName, TransitionRecord,
    WorkerTerms, Writes,
};
use duckworker_core::{Worker, WorkerKey, WorkerState, WorkerStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition as WireCondition;

use crate::pool::parse::pool_of;
use crate::worker::{
    self as wire, ClaimReference, Connection, DuckWorker, DuckWorkerSpec, DuckWorkerStatus,
    HealthCheck, PodReference, TransitionEntry,
};

/// Why an object cannot be understood by this version. It is left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A field that every stored object has is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A name or number is malformed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A newer version's state.
    #[error("status.state {0:?} is not known to this version; it is left alone")]
    State(String),
    /// Owner and epoch do not go together.
    #[error("status.owner and status.ownerEpoch do not agree")]
    Ownership,
    /// A time is none.
    #[error("{0:?} is no time: write it like 2026-01-31T12:00:00Z")]
    Time(String),
    /// The status of a condition is none.
    #[error("condition status {0:?} is neither True, False nor Unknown")]
    Condition(String),
}

/// Parses one worker.
///
/// # Errors
/// [`Unreadable`] says which part this version cannot understand.
pub fn worker(object: &DuckWorker) -> Result<Worker, Unreadable> {
    let meta = &object.metadata;
    Ok(Worker {
        key: key(object)?,
        generation: meta.generation.unwrap_or_default(),
        deletion: meta.deletion_timestamp.as_ref().map(|t| t.0),
        pool: pool_of(meta),
        spec: terms(&object.spec)?,
        status: object.status.as_ref().map_or_else(|| Ok(WorkerStatus::pending()), status)?,
    })
}

/// Parses which worker it is.
///
/// # Errors
/// When it lacks namespace, name or uid: it was never stored.
pub fn key(object: &DuckWorker) -> Result<WorkerKey, Unreadable> {
    let meta = &object.metadata;
    let namespace = meta.namespace.clone().ok_or(Unreadable::Missing("metadata.namespace"))?;
    let name = meta.name.clone().ok_or(Unreadable::Missing("metadata.name"))?;
    let uid = meta.uid.clone().ok_or(Unreadable::Missing("metadata.uid"))?;
    Ok(WorkerKey { namespace, name, uid: Uid::new(uid)? })
}

fn terms(spec: &DuckWorkerSpec) -> Result<WorkerTerms, Unreadable> {
    let image =
        spec.template.image().ok_or(Unreadable::Missing("the image of container duckdb"))?;
    Ok(WorkerTerms {
        image: Image::new(image)?,
        dedicated_to: spec.tenant.clone().map(Tenant::new).transpose()?,
        connection: connection(&spec.connection)?,
        health: health(&spec.health_check),
        startup_timeout: seconds(spec.startup_timeout_seconds),
        activation_timeout: seconds(spec.activation_timeout_seconds),
        drain_timeout: seconds(spec.drain_timeout_seconds),
        ttl_after_finished: spec.ttl_seconds_after_finished.map(seconds),
    })
}

fn connection(wire: &Connection) -> Result<ConnectionTerms, Unreadable> {
    let protocol = match wire.protocol {
        wire::Protocol::Flight => Protocol::Flight,
        wire::Protocol::None => Protocol::None,
    };
    let port = u16::try_from(wire.port).map_err(|_| Unreadable::Missing("a port that is one"))?;
    Ok(ConnectionTerms { protocol, port })
}

fn health(check: &HealthCheck) -> HealthTerms {
    HealthTerms {
        period: seconds(check.period_seconds),
        timeout: seconds(check.timeout_seconds),
        threshold: u32::try_from(check.failure_threshold).unwrap_or(1),
    }
}

/// The schema refuses negative ones; an old object's counts as zero.
fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

fn status(wire: &DuckWorkerStatus) -> Result<WorkerStatus, Unreadable> {
    let state: WorkerState =
        wire.state.parse().map_err(|_| Unreadable::State(wire.state.clone()))?;
    let writes = wire.writes.as_ref();
    Ok(WorkerStatus {
        state,
        ownership: ownership(wire, state)?,
        tenant: wire.tenant.clone().map(Tenant::new).transpose()?,
        claim: wire.claim.as_ref().map(claim).transpose()?,
        writes: Writes {
            seq: writes.map_or(0, |w| w.seq),
            ids: writes
                .map_or(&[][..], |w| &w.ids)
                .iter()
                .map(WriteId::new)
                .collect::<Result<_, _>>()?,
        },
        transitions: wire.transitions.iter().map(transition).collect::<Result<_, _>>()?,
        state_since: wire.state_since,
        idle_since: wire.idle_since,
        pod: wire.pod.as_ref().map(pod).transpose()?,
        secret_name: wire.secret_name.clone(),
        endpoint: wire.endpoint.clone(),
        server_name: wire.server_name.clone(),
        credentials_expire_at: wire.credentials_expire_at,
        observed_generation: wire.observed_generation,
        conditions: wire.conditions.iter().map(condition).collect::<Result<_, _>>()?,
    })
}

fn ownership(wire: &DuckWorkerStatus, state: WorkerState) -> Result<Option<Ownership>, Unreadable> {
    match (&wire.owner, wire.owner_epoch) {
        (None, None | Some(0)) if state == WorkerState::Pending => Ok(None),
        (Some(owner), Some(number)) => {
            let epoch = Epoch::new(number).ok_or(Unreadable::Ownership)?;
            Ok(Some(Ownership { owner: Owner::new(owner)?, epoch }))
        }
        _ => Err(Unreadable::Ownership),
    }
}

pub(crate) fn claim(wire: &ClaimReference) -> Result<ClaimRef, Unreadable> {
    Ok(ClaimRef { name: wire.name.clone(), uid: Uid::new(&wire.uid)? })
}

pub(crate) fn pod(wire: &PodReference) -> Result<PodRef, Unreadable> {
    Ok(PodRef { name: wire.name.clone(), uid: Uid::new(&wire.uid)?, ip: wire.ip.clone() })
}

pub(crate) fn transition(wire: &TransitionEntry) -> Result<TransitionRecord, Unreadable> {
    Ok(TransitionRecord {
        name: RecordedName::parse(&wire.name),
        reason: wire.reason.clone(),
        by: wire.by.clone(),
        epoch: Epoch::new(wire.epoch).ok_or(Unreadable::Ownership)?,
        at: wire.at,
    })
}

pub(crate) fn condition(wire: &WireCondition) -> Result<Condition, Unreadable> {
    let status: ConditionStatus =
        wire.status.parse().map_err(|_| Unreadable::Condition(wire.status.clone()))?;
    Ok(Condition {
        kind: wire.type_.clone(),
        status,
        reason: wire.reason.clone(),
        message: wire.message.clone(),
        observed_generation: wire.observed_generation,
        since: wire.last_transition_time.0,
    })
}
