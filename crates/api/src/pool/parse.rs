//! The border inwards: pools, and workers as members of one.

use std::collections::BTreeMap;
use std::time::Duration;

use duckworker_core::conditions::{self, ConditionType};
use duckworker_core::plan::observed::Trouble;
use duckworker_core::pool::{
    Counts, DemandTerms, Disruption, HotIdleTerms, Member, Ordinal, Pool, PoolKey, PoolRef,
    PoolStatus, PoolTerms, Reuse, Rollout, Seats, Undeclared,
};
use duckworker_core::worker::RecordedName;
use duckworker_core::{Fingerprint, Image, TransitionName, Uid, Worker};
use jiff::Timestamp;
use kube::core::ObjectMeta;

use super::wire;
use super::{
    DuckWorkerPool, DuckWorkerPoolSpec, DuckWorkerPoolStatus, Ordinals, UndeclaredTenants,
};
use crate::labels;
use crate::parse::{self, Unreadable};
use crate::worker::DuckWorker;

/// Parses one pool.
///
/// # Errors
/// [`Unreadable`] says which part this version cannot understand.
pub fn pool(object: &DuckWorkerPool) -> Result<Pool, Unreadable> {
    let meta = &object.metadata;
    Ok(Pool {
        key: key(meta)?,
        generation: meta.generation.unwrap_or_default(),
        deletion: meta.deletion_timestamp.as_ref().map(|t| t.0),
        terms: terms(&object.spec)?,
        status: object.status.as_ref().map_or_else(|| Ok(PoolStatus::default()), status)?,
    })
}

/// Parses which pool it is.
///
/// # Errors
/// When it lacks namespace, name or uid: it was never stored.
pub fn key(meta: &ObjectMeta) -> Result<PoolKey, Unreadable> {
    let namespace = meta.namespace.clone().ok_or(Unreadable::Missing("metadata.namespace"))?;
    let name = meta.name.clone().ok_or(Unreadable::Missing("metadata.name"))?;
    let uid = meta.uid.clone().ok_or(Unreadable::Missing("metadata.uid"))?;
    Ok(PoolKey { namespace, name, uid: Uid::new(uid)? })
}

fn terms(spec: &DuckWorkerPoolSpec) -> Result<PoolTerms, Unreadable> {
    let image = spec.template.image();
    let image = image.ok_or(Unreadable::Missing("the image of container duckdb"))?;
    Ok(PoolTerms {
        replicas: count(spec.replicas),
        max_workers: count(spec.max_workers),
        max_unavailable: count(spec.update_strategy.max_unavailable),
        max_surge: count(spec.update_strategy.max_surge),
        rollout: if spec.paused { Rollout::Paused } else { Rollout::Running },
        progress_deadline: seconds(spec.progress_deadline_seconds),
        max_starting: count(spec.spawn.max_concurrent),
        first_pause: seconds(spec.spawn.backoff_seconds),
        longest_pause: seconds(spec.spawn.max_backoff_seconds),
        template: wire::fingerprint(&spec.template),
        image: Image::new(image)?,
        hot_idle: HotIdleTerms {
            ttl: seconds(spec.hot_idle.ttl_seconds),
            min_per_tenant: count(spec.hot_idle.min_per_tenant),
            max_per_tenant: spec.hot_idle.max_per_tenant.map(count),
        },
        reuse: spec.reuse.into(),
        undeclared: spec.undeclared_tenants.into(),
        demand: DemandTerms {
            window: seconds(spec.demand.window_seconds),
            max_extra: count(spec.demand.max_extra),
        },
        disruption: spec.disruption.into(),
    })
}

impl From<super::Reuse> for Reuse {
    fn from(wire: super::Reuse) -> Self {
        match wire {
            super::Reuse::SameTenant => Self::SameTenant,
            super::Reuse::Never => Self::Never,
        }
    }
}

impl From<UndeclaredTenants> for Undeclared {
    fn from(wire: UndeclaredTenants) -> Self {
        match wire {
            UndeclaredTenants::Allow => Self::Allow,
            UndeclaredTenants::Refuse => Self::Refuse,
        }
    }
}

impl From<super::Disruption> for Disruption {
    fn from(wire: super::Disruption) -> Self {
        match wire {
            super::Disruption::Protect => Self::Protect,
            super::Disruption::AllowIdle => Self::AllowIdle,
        }
    }
}

/// The schema refuses negative ones; an old object's counts as zero.
pub(crate) fn count(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

pub(crate) fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

fn status(wire: &DuckWorkerPoolStatus) -> Result<PoolStatus, Unreadable> {
    let workers = &wire.workers;
    Ok(PoolStatus {
        observed_generation: wire.observed_generation,
        seats: seats(&wire.ordinals)?,
        counts: Counts {
            pending: count(workers.pending),
            spawning: count(workers.spawning),
            idle: count(workers.idle),
            reserved: count(workers.reserved),
            activating: count(workers.activating),
            hot: count(workers.hot),
            hot_idle: count(workers.hot_idle),
            draining: count(workers.draining),
            updated: count(wire.updated_replicas),
        },
        conditions: wire.conditions.iter().map(parse::condition).collect::<Result<_, _>>()?,
    })
}

fn seats(wire: &Ordinals) -> Result<Seats, Unreadable> {
    let ordinal = |value| Ordinal::new(value).ok_or(Unreadable::Missing("a positive ordinal"));
    let taken = wire.taken.iter().map(|seat| {
        let uid = seat.uid.as_ref().map(Uid::new).transpose()?;
        Ok((ordinal(seat.ordinal)?, uid))
    });
    let taken: Result<BTreeMap<_, _>, Unreadable> = taken.collect();
    Ok(Seats { next: ordinal(wire.next)?, taken: taken? })
}

/// The pool that a worker belongs to: by its controller reference, and by nothing else.
pub fn pool_of(meta: &ObjectMeta) -> Option<PoolRef> {
    let mut references = meta.owner_references.iter().flatten();
    let controller = references.find(|reference| {
        reference.controller == Some(true)
            && reference.kind == "DuckWorkerPool"
            && reference.api_version.starts_with("duckworker.dev/")
    })?;
    let uid = Uid::new(&controller.uid).ok()?;
    Some(PoolRef { name: controller.name.clone(), uid })
}

/// A worker as a member of its pool.
///
/// # Errors
/// [`Unreadable`] says which part of it this version cannot understand.
pub fn member(object: &DuckWorker) -> Result<Member, Unreadable> {
    let worker = parse::worker(object)?;
    let meta = &object.metadata;
    let created = meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let template = meta.labels.as_ref().and_then(|labels| labels.get(labels::TEMPLATE));
    let trouble = trouble(&worker);
    let was_parked = was_parked(&worker);
    let epoch = worker.status.epoch();
    let Worker { key, spec, status, deletion, .. } = worker;
    Ok(Member {
        uid: key.uid,
        name: key.name,
        state: status.state,
        deleting: deletion.is_some(),
        template: template.map(Fingerprint::written),
        image: spec.image,
        tenant: status.tenant,
        claim: status.claim,
        epoch,
        was_parked,
        endpoint: status.endpoint,
        server_name: status.server_name,
        created,
        since: status.state_since.unwrap_or(created),
        idle_since: status.idle_since,
        trouble,
    })
}

/// Whether it was parked before it was claimed last.
fn was_parked(worker: &Worker) -> bool {
    let claims = worker.status.transitions.iter().filter_map(|record| match record.name {
        RecordedName::Known(name @ (TransitionName::ClaimIdle | TransitionName::ClaimHotIdle)) => {
            Some(name)
        }
        _ => None,
    });
    claims.into_iter().next() == Some(TransitionName::ClaimHotIdle)
}

/// Why a worker ended, or what is in the way of one that starts.
fn trouble(worker: &Worker) -> Option<Trouble> {
    let conditions = &worker.status.conditions;
    let blocked = [ConditionType::PodBlocked, ConditionType::NameConflict]
        .into_iter()
        .find_map(|kind| conditions::find(conditions, kind));
    let message = blocked.map(|condition| condition.message.clone());
    let reason = if worker.status.state.is_terminal() {
        worker.status.transitions.first()?.reason.as_ref()?.parse().ok()?
    } else {
        blocked?.reason.parse().ok()?
    };
    let message = message.unwrap_or_else(|| format!("worker {} ended", worker.key.name));
    Some(Trouble::new(reason, message))
}
