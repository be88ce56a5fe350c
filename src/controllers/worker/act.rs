//! Each step of the plan, carried out. A step sends one request, or a short chain in which each
//! proves what the next needs.

use std::time::Duration;

use duckworker_client::children::{Finalized, Grace, PodStanding};
use duckworker_client::{DeletePermit, Error, Origin, Outcome, Swept, WorkerLease};
use duckworker_core::plan::worker::Step;
use duckworker_core::{Miss, Note, Reason, Terminal};

use super::blocked::{self, Made};
use super::context::Context;
use super::sight::Sight;
use crate::children::{pod, secret, tls};
use crate::observe::EventReason;

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

/// A caller that misses because the owner's Lease is not marked yet looks again after this.
const RECHECK: Duration = Duration::from_secs(1);

type Done = Result<Progress, Error>;

/// Carries out one step.
///
/// # Errors
/// Whatever the request failed with. Nothing is lost: the next reconcile asks the plan again.
pub async fn carry_out(context: &Context, sight: &mut Sight, step: Step) -> Done {
    match step {
        Step::Rest => Ok(Progress::Rest),
        Step::Wait(time) => Ok(Progress::Wait(time)),
        Step::AddFinalizer => add_finalizer(context, sight).await,
        Step::AdoptNew => taken(context.lifecycle.adopt_new(&sight.snapshot).await?),
        Step::Adopt => adopt(context, sight).await,
        Step::ClaimDedicated(tenant) => {
            let claim = context.lifecycle.claim_idle(&sight.snapshot, tenant, None, Origin::Claim);
            taken(claim.await?)
        }
        Step::Finish => finish(context, sight).await,
        Step::StopPod(grace) => stop_pod(context, sight, grace).await,
        Step::RetireLost(reason) => retire_lost(context, sight, reason).await,
        Step::DeleteObject => {
            context.children.delete_worker(sight.snapshot.key()).await?;
            Ok(Progress::Rest)
        }
        Step::Probe => {
            sight.health = context.protocol.probe(sight.snapshot.worker()).await;
            Ok(Progress::Again)
        }
        step => match sight.lease.take() {
            Some(lease) => by_lease(context, sight, &lease, step).await,
            None => Ok(Progress::Rest),
        },
    }
}

/// The steps that only the owner takes.
async fn by_lease(context: &Context, sight: &mut Sight, lease: &WorkerLease, step: Step) -> Done {
    let lifecycle = &context.lifecycle;
    match step {
        Step::MakeSecret => make_secret(context, sight, lease).await,
        Step::MakePod => make_pod(context, sight, lease).await,
        Step::Note(note) => moved(lifecycle.note(lease, note, Origin::Spawn).await?),
        Step::Ready(note) => {
            let note = with_address(context, sight, note);
            moved(lifecycle.ready(lease, note).await?)
        }
        Step::Activate => moved(lifecycle.activate(lease).await?),
        Step::FinishActivation => finish_activation(context, sight, lease).await,
        Step::Drain(reason) => {
            let origin = match reason {
                Reason::Deleted => Origin::Finalizer,
                _ => Origin::Health,
            };
            ended(context, sight, reason, lifecycle.drain(lease, reason, origin).await?)
        }
        Step::Abandon(reason) => {
            ended(context, sight, reason, lifecycle.abandon(lease, reason, Origin::Spawn).await?)
        }
        Step::MarkLost(reason) => {
            let outcome = lifecycle.mark_lost(lease, reason, Origin::Health).await?;
            ended(context, sight, reason, outcome)
        }
        Step::RetireDrained => retire_drained(context, sight, lease).await,
        _ => Ok(Progress::Rest),
    }
}

fn moved<T>(outcome: Outcome<T>) -> Done {
    Ok(match outcome {
        Outcome::Transitioned(_) => Progress::Again,
        Outcome::Missed(miss) => after_miss(miss),
    })
}

/// A lease that was won stays in the client's book; the next look finds it there.
fn taken(outcome: Outcome<WorkerLease>) -> Done {
    moved(outcome)
}

const fn after_miss(miss: Miss) -> Progress {
    match miss {
        // What we saw was old; the plan looks again at what the client read since.
        Miss::State | Miss::Moved => Progress::Wait(RECHECK),
        Miss::OwnerAlive | Miss::Capacity => Progress::Wait(RECHECK),
        // Somebody else's now: its watch event is on its way.
        Miss::Owner | Miss::Epoch | Miss::Assignment | Miss::Gone => Progress::Rest,
    }
}

fn ended(
    context: &Context,
    sight: &Sight,
    reason: Reason,
    outcome: Outcome<DeletePermit>,
) -> Done {
    if let Outcome::Transitioned(_) = &outcome {
        if let Some((event, message)) = blocked::event_of(reason) {
            context.observer.event(&sight.snapshot, event, message);
        }
    }
    // The permit is made again from what was won, when the plan comes to the pod.
    moved(outcome)
}

async fn add_finalizer(context: &Context, sight: &mut Sight) -> Done {
    match context.children.add_finalizer(&sight.snapshot).await? {
        Finalized::Done(Some(snapshot)) => {
            sight.snapshot = *snapshot;
            Ok(Progress::Again)
        }
        Finalized::Done(None) | Finalized::Moved => Ok(Progress::Rest),
    }
}

async fn adopt(context: &Context, sight: &Sight) -> Done {
    let outcome = context.lifecycle.adopt(&sight.snapshot).await?;
    if matches!(outcome, Outcome::Transitioned(_)) {
        let message = "its owner is gone; another controller looks after it, its pod is untouched";
        context.observer.event(&sight.snapshot, EventReason::WorkerAdopted, message);
    }
    taken(outcome)
}

async fn make_secret(context: &Context, sight: &mut Sight, lease: &WorkerLease) -> Done {
    let key = lease.key();
    let made = match tls::Credentials::generate(&server_name(key), context.clock.now()) {
        Ok(credentials) => {
            context.children.create_secret(lease, &secret::build(key, &credentials)).await
        }
        Err(error) => {
            tracing::error!(worker = %key, %error, "no certificate could be made");
            return Ok(Progress::Wait(Duration::from_secs(10)));
        }
    };
    match blocked::judge(context, sight, lease, made).await? {
        Made::Yes(()) => {
            sight.secret = duckworker_core::plan::worker::SecretStanding::There;
            Ok(Progress::Again)
        }
        Made::No(progress) => Ok(progress),
    }
}

async fn make_pod(context: &Context, sight: &mut Sight, lease: &WorkerLease) -> Done {
    let reference = kube::runtime::reflector::ObjectRef::new(&lease.key().name)
        .within(&lease.key().namespace);
    let Some(object) = context.caches.workers.get(&reference) else {
        return Ok(Progress::Rest);
    };
    let pod = match pod::build(&object) {
        Ok(pod) => pod,
        Err(error) => return blocked::unbuildable(context, sight, lease, &error).await,
    };
    let made = context.children.create_pod(lease, &pod).await;
    match blocked::judge(context, sight, lease, made).await? {
        Made::Yes(pod) => {
            sight.set_pod(Some(pod));
            Ok(Progress::Again)
        }
        Made::No(progress) => Ok(progress),
    }
}

/// The name that a worker's certificate bears.
fn server_name(key: &duckworker_core::WorkerKey) -> String {
    crate::children::identity::server_name(key)
}

fn with_address(context: &Context, sight: &Sight, note: Note) -> Note {
    let key = sight.snapshot.key();
    let reference =
        kube::runtime::reflector::ObjectRef::new(&key.name).within(&key.namespace);
    let port = context.caches.workers.get(&reference).map(|w| w.spec.connection.port);
    let ip = note.pod.as_ref().and_then(|pod| pod.ip.as_deref());
    let endpoint = ip.zip(port).map(|(ip, port)| match ip.contains(':') {
        true => format!("[{ip}]:{port}"),
        false => format!("{ip}:{port}"),
    });
    Note { endpoint, server_name: Some(server_name(key)), ..note }
}

async fn finish_activation(context: &Context, sight: &Sight, lease: &WorkerLease) -> Done {
    match context.protocol.activate(sight.snapshot.worker()).await {
        Ok(expire) => moved(context.lifecycle.activated(lease, expire).await?),
        Err(reason) => {
            let outcome = context.lifecycle.abandon(lease, reason, Origin::Activation).await?;
            ended(context, sight, reason, outcome)
        }
    }
}

/// A pod that never served needs no time to finish sessions.
const END_GRACE: Duration = Duration::from_secs(30);

async fn stop_pod(context: &Context, sight: &Sight, grace: Duration) -> Done {
    let (Some(permit), Some(pod)) = (sight.snapshot.condemned(), sight.pod.as_ref()) else {
        return Ok(Progress::Rest);
    };
    let grace = if sight.snapshot.state().is_terminal() { grace.min(END_GRACE) } else { grace };
    let permit = context.children.delete_pod(permit, pod, Grace::Within(grace)).await?;
    tracing::info!(worker = %permit.key(), ?grace, "its pod was told to stop");
    // The watch tells when it is gone.
    Ok(Progress::Rest)
}

async fn retire_lost(context: &Context, sight: &Sight, reason: Reason) -> Done {
    let end = Terminal::Lost;
    let lifecycle = &context.lifecycle;
    let outcome =
        lifecycle.retire_from_snapshot(&sight.snapshot, end, reason, Origin::Health).await?;
    if matches!(outcome, Outcome::Transitioned(())) {
        if let Some((event, message)) = blocked::event_of(reason) {
            context.observer.event(&sight.snapshot, event, message);
        }
    }
    moved(outcome)
}

async fn retire_drained(context: &Context, sight: &mut Sight, lease: &WorkerLease) -> Done {
    let Some(permit) = sight.snapshot.condemned() else { return Ok(Progress::Rest) };
    match sweep(context, sight, permit).await? {
        Some(swept) => {
            let origin = Origin::Finalizer;
            moved(context.lifecycle.retire_drained(lease, &swept, origin).await?)
        }
        None => Ok(Progress::Rest),
    }
}

async fn finish(context: &Context, sight: &mut Sight) -> Done {
    let Some(permit) = sight.snapshot.condemned().or_else(|| sight.snapshot.untaken()) else {
        return Ok(Progress::Rest);
    };
    let Some(swept) = sweep(context, sight, permit).await? else { return Ok(Progress::Rest) };
    if !sight.snapshot.worker().is_deleting() {
        return Ok(Progress::Rest);
    }
    match context.children.remove_finalizer(&sight.snapshot, swept).await? {
        Finalized::Done(_) => Ok(Progress::Rest),
        Finalized::Moved => Ok(Progress::Wait(RECHECK)),
    }
}

/// The secrets, if the pod is gone by a consistent read. The cache may have told so too early.
async fn sweep(
    context: &Context,
    sight: &mut Sight,
    permit: DeletePermit,
) -> Result<Option<Swept>, Error> {
    match context.children.pod_standing(permit).await? {
        PodStanding::Gone(gone) => context.children.sweep_secrets(gone).await.map(Some),
        PodStanding::There(_, pod) => {
            sight.set_pod(Some(*pod));
            Ok(None)
        }
    }
}
