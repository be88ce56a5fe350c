//! Each step of the plan, carried out.

use std::time::Duration;

use duckworker_client::pools::{Guarded, Made};
use duckworker_client::status::Written;
use duckworker_client::{Error, ErrorClass, Origin, Outcome};
use duckworker_core::plan::pool::budget::Covers;
use duckworker_core::plan::pool::{Pace, Step};
use duckworker_core::planted::{Bug, planted};
use duckworker_core::pool::{Ordinal, PoolStatus};
use duckworker_core::{Image, Reason, Terminal, Uid, WorkerKey, WorkerState};
use futures::{StreamExt, stream};
use kube::runtime::reflector::ObjectRef;

use super::context::Context;
use super::reconcile::{Look, Progress};
use super::told;

type Done = Result<Progress, Error>;

/// What was done to many workers at once is looked at again after this, unless a watch tells.
const RECHECK: Duration = Duration::from_secs(1);
/// How long no worker is created after one was refused for good.
const REFUSED: Duration = Duration::from_secs(10);

/// Carries out one step.
///
/// # Errors
/// Whatever the request failed with. Nothing is lost: the next reconcile asks the plan again.
pub async fn carry_out(context: &Context, look: &mut Look, step: Step) -> Done {
    match step {
        Step::Rest => Ok(Progress::Wait(Duration::MAX)),
        Step::Wait(time) => Ok(Progress::Wait(time)),
        Step::Write(status, pace) => write(context, look, &status, pace).await,
        Step::LookFor(workers) => look_for(context, look, workers).await,
        Step::Guard(covers) => guard(context, look, covers).await,
        Step::Create(wanted) => create(context, look, wanted).await,
        Step::Retire(workers) => retire(context, look, workers).await,
        Step::Delete(workers) => delete(context, look, workers).await,
    }
}

async fn write(context: &Context, look: &mut Look, status: &PoolStatus, pace: Pace) -> Done {
    let uid = look.pool.pool().key.uid.clone();
    let least = match pace {
        Pace::AtOnce => Duration::ZERO,
        Pace::Brisk => context.pace / 4,
        Pace::Walking => context.pace,
    };
    let left = least.saturating_sub(context.memory.since_written(&uid));
    if !left.is_zero() {
        return Ok(Progress::Wait(left));
    }
    match context.store.write(&look.pool, status).await? {
        Written::Landed(pool) => {
            context.memory.wrote(&uid);
            told::tell(context, look.pool.pool(), pool.pool());
            look.pool = context.memory.newest(pool);
            Ok(Progress::Again)
        }
        Written::Moved(Some(pool)) => {
            look.pool = context.memory.newest(pool);
            Ok(Progress::Again)
        }
        Written::Moved(None) => Ok(Progress::Gone),
    }
}

async fn look_for(context: &Context, look: &mut Look, workers: Vec<(Ordinal, Uid)>) -> Done {
    for (ordinal, uid) in workers {
        let key = &look.pool.pool().key;
        let found = context.store.read_worker(&key.namespace, &key.worker_name(ordinal)).await?;
        match found.filter(|found| found.metadata.uid.as_deref() == Some(uid.as_str())) {
            Some(worker) => context.members.learn(&worker),
            None => drop(look.gone.insert(uid)),
        }
    }
    Ok(Progress::Again)
}

/// A pool whose budget is refused works on, and says so.
async fn guard(context: &Context, look: &Look, covers: Covers) -> Done {
    let key = &look.pool.pool().key;
    let found = context.budgets.found(key);
    let why = match context.store.guard(&look.pool, found.as_ref(), covers).await {
        Ok(Guarded::Done(budget)) => {
            context.budgets.wrote(&key.uid, *budget);
            return Ok(Progress::Again);
        }
        // The watch is about to tell.
        Ok(Guarded::Moved) if found.is_some() => return Ok(Progress::Wait(RECHECK)),
        Ok(Guarded::Moved) => {
            let name = key.budget_name();
            format!("a PodDisruptionBudget {name} is there and not this pool's: delete it")
        }
        Err(error) => refusal_of(error)?,
    };
    context.memory.unguarded(&key.uid, why, REFUSED);
    Ok(Progress::Again)
}

/// What the server says that would not help to ask again; the error back if it would.
fn refusal_of(error: Error) -> Result<String, Error> {
    match error.class() {
        ErrorClass::Forbidden | ErrorClass::Invalid | ErrorClass::Conflict => {
            let why = error.refusal().map_or_else(|| error.to_string(), str::to_owned);
            Ok(crate::text::one_line(&why, 512))
        }
        ErrorClass::Throttled(_) | ErrorClass::Unavailable => Err(error),
    }
}

async fn create(context: &Context, look: &mut Look, wanted: Vec<(Ordinal, Option<Image>)>) -> Done {
    let pool = &look.pool;
    let creations = stream::iter(wanted)
        .map(async |(ordinal, image)| {
            context.store.create_worker(pool, ordinal, image.as_ref()).await
        })
        .buffer_unordered(context.concurrency.into());
    let results: Vec<Result<Made, Error>> = creations.collect().await;
    let key = &look.pool.pool().key;
    let mut failure = None;
    for result in results {
        match result {
            Ok(Made::There(worker)) => context.members.learn(&worker),
            Ok(Made::Foreign) => {
                let why = "the name of a worker is taken by one that is not this pool's; the next \
                           look tries again: delete or rename that one";
                context.memory.refused(&key.uid, why.to_owned(), REFUSED);
            }
            Err(error) => match refusal_of(error) {
                Ok(why) => context.memory.refused(&key.uid, why, REFUSED),
                Err(error) => failure = Some(error),
            },
        }
    }
    failure.map_or(Ok(Progress::Again), Err)
}

async fn retire(context: &Context, look: &Look, workers: Vec<(Uid, Reason)>) -> Done {
    let ends = stream::iter(workers)
        .map(|(uid, reason)| retire_one(context, look, uid, reason))
        .buffer_unordered(context.concurrency.into());
    let results: Vec<Result<Ended, Error>> = ends.collect().await;
    let mut progress = Progress::Again;
    for result in results {
        if result? == Ended::No {
            // It was claimed meanwhile, or the cache lags: the watch tells.
            progress = Progress::Wait(RECHECK);
        }
    }
    Ok(progress)
}

/// Whether a worker was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Yes,
    No,
}

async fn retire_one(
    context: &Context,
    look: &Look,
    uid: Uid,
    reason: Reason,
) -> Result<Ended, Error> {
    let Some(key) = key_of(context, look, &uid) else { return Ok(Ended::No) };
    let reference = ObjectRef::new(&key.name).within(&key.namespace);
    let Some(seen) = context.workers.get(&reference).filter(|seen| seen.key().uid == uid) else {
        return Ok(Ended::No);
    };
    let lifecycle = &context.lifecycle;
    let serves = planted(Bug::BusyScaledDown) && seen.state() == WorkerState::Hot;
    let outcome = if serves || seen.state() == WorkerState::Spawning {
        let end = Terminal::Retired;
        lifecycle.retire_from_snapshot(&seen, end, reason, Origin::Pool).await?
    } else {
        lifecycle.retire_idle_variant_from_snapshot(&seen, reason, Origin::Pool).await?
    };
    match outcome {
        Outcome::Transitioned(()) => {
            context.members.ended(&uid, seen.version());
            Ok(Ended::Yes)
        }
        Outcome::Missed(_) => Ok(Ended::No),
    }
}

async fn delete(context: &Context, look: &Look, workers: Vec<Uid>) -> Done {
    for uid in workers {
        let Some(key) = key_of(context, look, &uid) else { continue };
        if context.store.delete_pending(&look.pool, &key).await? {
            tracing::info!(worker = %key, "deleted: its pool does not want it, and nobody took it");
        }
    }
    Ok(Progress::Wait(RECHECK))
}

fn key_of(context: &Context, look: &Look, uid: &Uid) -> Option<WorkerKey> {
    let pool = &look.pool.pool().key;
    let members = context.members.of(&pool.uid);
    let member = members.into_iter().find(|member| member.uid == *uid)?;
    Some(WorkerKey { namespace: pool.namespace.clone(), name: member.name, uid: member.uid })
}
