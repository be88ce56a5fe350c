//! Each step of the plan, carried out.

use std::time::Duration;

use duckworker_client::claims::Connected;
use duckworker_client::status::Written;
use duckworker_client::{Error, Origin, Outcome, WorkerSnapshot};
use duckworker_core::claim::ClaimStatus;
use duckworker_core::plan::binding::status::Why;
use duckworker_core::plan::binding::{Loss, Step};
use duckworker_core::worker::ClaimRef;
use duckworker_core::{Reason, Uid, WorkerState};
use kube::runtime::reflector::ObjectRef;

use super::context::Context;
use super::sight::{Sight, obstacle, wants_of};

/// How a step went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Ask the plan again.
    Again,
    /// Nothing until a watch tells of a change, or this time has passed.
    Wait(Duration),
    /// Nothing until a watch tells of a change.
    Rest,
}

type Done = Result<Progress, Error>;

/// What a cache is about to show is looked at again after this.
const RECHECK: Duration = Duration::from_millis(500);
/// How often a name that is taken is looked at again.
const TAKEN: Duration = Duration::from_secs(10);

/// Carries out one step.
///
/// # Errors
/// Whatever the request failed with. Nothing is lost: the next reconcile asks the plan again.
pub async fn carry_out(context: &Context, sight: &mut Sight, step: Step) -> Done {
    match step {
        Step::Rest => Ok(Progress::Rest),
        Step::Wait(time) => Ok(Progress::Wait(time)),
        Step::Write(status) => write(context, sight, &status).await,
        Step::Take(worker) => take(context, sight, worker).await,
        Step::MakeRoom(worker) => make_room(context, sight, &worker).await,
        Step::MakeSecret(worker) => connect(context, sight, worker).await,
        Step::LookForWorker => look_for(context, sight).await,
    }
}

async fn write(context: &Context, sight: &mut Sight, status: &ClaimStatus) -> Done {
    match context.store.write(&sight.claim, status).await? {
        Written::Landed(claim) | Written::Moved(Some(claim)) => {
            context.waiting.wrote(&claim);
            sight.claim = claim;
            sight.loss = Loss::Unproven;
            Ok(Progress::Again)
        }
        Written::Moved(None) => Ok(Progress::Rest),
    }
}

/// Claims a worker. What the API server said of it may be old: the compare-and-swap decides.
async fn take(context: &Context, sight: &mut Sight, worker: Uid) -> Done {
    let claim = sight.claim.claim();
    let Some(seen) = snapshot_of(context, sight, &worker) else {
        sight.missed.insert(worker);
        return Ok(Progress::Again);
    };
    let named = ClaimRef { name: claim.key.name.clone(), uid: claim.key.uid.clone() };
    let (tenant, origin) = (claim.tenant.clone(), Origin::Claim);
    let lifecycle = &context.lifecycle;
    let outcome = if seen.state() == WorkerState::HotIdle {
        let version = Some(seen.worker().spec.image.clone());
        lifecycle.claim_hot_idle(&seen, tenant, version, Some(named), origin).await?
    } else {
        lifecycle.claim_idle(&seen, tenant, Some(named), origin).await?
    };
    match outcome {
        Outcome::Transitioned(_) => {
            // The worker's own controller activates it, and need not wait for the watch to tell; for
            // us it does.
            context.waiting.served(&claim.key.uid);
            context.members.claimed(&worker, seen.version());
            let key = seen.key();
            let worker = ObjectRef::new(&key.name).within(&key.namespace);
            // Nobody listens only when this scope ends.
            let _ = context.claimed_workers.send(worker);
            Ok(Progress::Rest)
        }
        Outcome::Missed(_) => {
            sight.missed.insert(worker);
            Ok(Progress::Again)
        }
    }
}

/// Ends a parked worker that takes up the last of what the tenant may have. Its place comes free
/// when its pod is gone: the tenant's ledger tells.
async fn make_room(context: &Context, sight: &Sight, worker: &Uid) -> Done {
    let claim = sight.claim.claim();
    let pool = context.caches.pools.named(&claim.key.namespace, &claim.pool);
    let wants = wants_of(context, pool.as_ref());
    let seen = obstacle(context, claim, wants.get(&claim.tenant));
    let Some(seen) = seen.filter(|seen| seen.key().uid == *worker) else {
        return Ok(Progress::Wait(RECHECK));
    };
    let (lifecycle, reason) = (&context.lifecycle, Reason::Displaced);
    let outcome = lifecycle.retire_idle_variant_from_snapshot(&seen, reason, Origin::Claim).await?;
    if let Outcome::Transitioned(()) = outcome {
        context.members.ended(worker, seen.version());
        tracing::info!(worker = %seen.key(), claim = %claim.key, "ended: its tenant, at its cap, needs its place");
    }
    Ok(Progress::Wait(RECHECK))
}

async fn connect(context: &Context, sight: &mut Sight, worker: Uid) -> Done {
    let claim = sight.claim.claim();
    let Some(seen) = snapshot_of(context, sight, &worker) else {
        return Ok(Progress::Wait(RECHECK));
    };
    match context.store.connect(&sight.claim, &seen).await? {
        Connected::Yes => {
            context.waiting.connected(&claim.key.uid, &worker);
            sight.connected = Some(worker);
            Ok(Progress::Again)
        }
        // Its owner drains it; that is told, and looked at then.
        Connected::WorkerSecretGone => Ok(Progress::Wait(TAKEN)),
        Connected::Foreign => {
            let name = duckworker_core::plan::binding::status::secret_name(claim);
            let message = format!("secret {name} exists and is not this claim's: delete it");
            tracing::warn!(claim = %claim.key, message);
            let why = Why::new("NameConflict", message);
            let status = sight.blocked(context, &why);
            if status != claim.status {
                return write(context, sight, &status).await.map(|_| Progress::Wait(TAKEN));
            }
            Ok(Progress::Wait(TAKEN))
        }
    }
}

/// Whether the worker that the claim names still is the claim's, by a consistent read.
async fn look_for(context: &Context, sight: &mut Sight) -> Done {
    let claim = sight.claim.claim();
    let Some(bound) = claim.status.worker.as_ref() else { return Ok(Progress::Again) };
    let found = context.lifecycle.store().observe(&claim.key.namespace, &bound.name).await?;
    let is_its = found.is_some_and(|found| {
        let status = &found.worker().status;
        let names = status.claim.as_ref().is_some_and(|named| named.uid == claim.key.uid);
        found.key().uid == bound.uid && names && !status.state.is_condemned()
    });
    if is_its {
        // The cache lags.
        return Ok(Progress::Wait(RECHECK));
    }
    sight.loss = Loss::Proven;
    Ok(Progress::Again)
}

fn snapshot_of(context: &Context, sight: &Sight, worker: &Uid) -> Option<WorkerSnapshot> {
    let name = context.members.name_of(worker)?;
    let reference = ObjectRef::new(&name).within(&sight.claim.claim().key.namespace);
    context.caches.workers.get(&reference).filter(|seen| seen.key().uid == *worker)
}
