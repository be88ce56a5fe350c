//! Each step of the plan, carried out. A step sends one request, or a short chain in which each
//! proves what the next needs.

use std::time::Duration;

use duckworker_client::children::{Finalized, Grace, PodStanding};
use duckworker_client::{DeletePermit, Error, Origin, Outcome, Swept, WorkerLease};
use duckworker_core::conditions::{self, Condition, ConditionStatus, ConditionType};
use duckworker_core::plan::worker::{SecretStanding, Step};
use duckworker_core::planted::{Bug, planted};
use duckworker_core::{Miss, Note, Reason, Terminal, WorkerState};

use super::activating;
use super::blocked::{self, Made};
use super::context::Context;
use super::dedicated;
use super::endings::Ending;
use super::first_check;
use super::marking;
use super::sight::Sight;
use crate::children::{pod, secret, tls};
use crate::controllers::nodes;
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
pub(super) const RECHECK: Duration = Duration::from_secs(1);

pub(super) type Done = Result<Progress, Error>;

/// Carries out one step.
///
/// # Errors
/// Whatever the request failed with. Nothing is lost: the next reconcile asks the plan again.
pub async fn carry_out(context: &Context, sight: &mut Sight, step: Step) -> Done {
    match step {
        Step::Rest => Ok(Progress::Rest),
        Step::Wait(time) => Ok(Progress::Wait(time)),
        Step::AddFinalizer => add_finalizer(context, sight).await,
        Step::AdoptNew => adopt_new(context, sight).await,
        Step::Adopt => adopt(context, sight).await,
        Step::ClaimDedicated(tenant) => dedicated::claim(context, sight, tenant).await,
        Step::Finish => finish(context, sight).await,
        Step::StopPod(grace) => stop_pod(context, sight, grace).await,
        Step::ForcePod => force_pod(context, sight).await,
        Step::MarkPod(mark) => marking::mark(context, sight, mark).await,
        Step::RetireLost(reason) => retire_lost(context, sight, reason).await,
        Step::DeleteObject => {
            context.children.delete_worker(sight.snapshot.key()).await?;
            Ok(Progress::Rest)
        }
        Step::Probe => Ok(first_check::ask(context, sight).await),
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
        Step::Note(note) => take_note(context, sight, lease, note).await,
        Step::Ready(note) => {
            let note = with_address(sight, note);
            moved(lifecycle.ready(lease, note).await?)
        }
        Step::Activate => moved(lifecycle.activate(lease).await?),
        Step::Release => moved(lifecycle.release(lease, Origin::Claim).await?),
        Step::Park => moved(lifecycle.park(lease, Origin::Claim).await?),
        Step::FinishActivation => activating::finish(context, sight, lease).await,
        Step::Drain(reason) => {
            #[cfg(feature = "planted")]
            planted_stop(context, sight).await;
            let origin = match reason {
                Reason::Deleted => Origin::Finalizer,
                Reason::Released => Origin::Claim,
                _ => Origin::Health,
            };
            let outcome = lifecycle.drain(lease, reason, origin).await?;
            ended(context, sight, Ending::Drained, reason, outcome)
        }
        Step::Abandon(reason) => {
            let outcome = lifecycle.abandon(lease, reason, abandoned_by(sight)).await?;
            ended(context, sight, Ending::Abandoned, reason, outcome)
        }
        Step::MarkLost(reason) => {
            let outcome = lifecycle.mark_lost(lease, reason, Origin::Health).await?;
            ended(context, sight, Ending::Lost, reason, outcome)
        }
        Step::RetireDrained => retire_drained(context, sight, lease).await,
        _ => Ok(Progress::Rest),
    }
}

#[cfg(feature = "planted")]
async fn planted_stop(context: &Context, sight: &Sight) {
    if let Some(pod) = sight.pod.as_ref().filter(|_| planted(Bug::PodBeforeDrain)) {
        let permit = sight.snapshot.planted_permit();
        let _ = context.children.delete_pod(permit, pod, Grace::Spec).await;
    }
}

/// How a step goes on after its write. A lease that was won stays in the client's book; the next look
/// finds it there.
#[allow(clippy::unnecessary_wraps, reason = "it ends most steps, and they may fail")]
#[allow(clippy::needless_pass_by_value, reason = "an outcome is used up by looking at it")]
pub(super) fn moved<T>(outcome: Outcome<T>) -> Done {
    let missed = match outcome {
        Outcome::Transitioned(_) => None,
        Outcome::Missed(miss) => Some(miss),
    };
    Ok(missed.map_or(Progress::Again, after_miss))
}

const fn after_miss(miss: Miss) -> Progress {
    match miss {
        // What we saw was old, or is about to change: look again.
        Miss::State | Miss::Moved | Miss::OwnerAlive | Miss::Capacity => Progress::Wait(RECHECK),
        // Somebody else's now: its watch event is on its way.
        Miss::Owner | Miss::Epoch | Miss::Assignment | Miss::Gone => Progress::Rest,
    }
}

fn abandoned_by(sight: &Sight) -> Origin {
    match sight.snapshot.state() {
        WorkerState::Spawning => Origin::Spawn,
        _ => Origin::Activation,
    }
}

/// The permit of a won end, where there is one, is made again from what was won, when the plan
/// comes to the pod.
pub(super) fn ended<T>(
    context: &Context,
    sight: &Sight,
    ending: Ending,
    reason: Reason,
    outcome: Outcome<T>,
) -> Done {
    if matches!(outcome, Outcome::Transitioned(_))
        && let Some((event, message)) =
            ending.event(reason, sight.snapshot.worker(), sight.why.as_deref())
    {
        context.observer.event(&sight.snapshot, event, &message);
    }
    moved(outcome)
}

/// What is in the way of the pod is told to people too; the first note on a pod says as well
/// whether its template cuts the drain short.
async fn take_note(context: &Context, sight: &Sight, lease: &WorkerLease, mut note: Note) -> Done {
    let blocked = conditions::find(&note.conditions, ConditionType::PodBlocked);
    if let Some(blocked) = blocked {
        context.observer.event(&sight.snapshot, EventReason::PodBlocked, &blocked.message);
    }
    if note.pod.is_some() {
        note.conditions.extend(shortened_grace(context, sight));
    }
    moved(context.lifecycle.note(lease, note, Origin::Spawn).await?)
}

fn shortened_grace(context: &Context, sight: &Sight) -> Option<Condition> {
    let object = context.object(sight.snapshot.key())?;
    let message = pod::shortened_grace(&object)?;
    let (kind, holds) = (ConditionType::GraceShortened, ConditionStatus::True);
    Some(Condition::new(kind, holds, "ShorterThanDrain", message, context.clock.now()))
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

async fn adopt_new(context: &Context, sight: &Sight) -> Done {
    let (lifecycle, snapshot) = (&context.lifecycle, &sight.snapshot);
    match context.caches.seat_of(snapshot) {
        Some(seat) => moved(lifecycle.adopt_seated(snapshot, &seat).await?),
        None => moved(lifecycle.adopt_new(snapshot).await?),
    }
}

async fn adopt(context: &Context, sight: &Sight) -> Done {
    let outcome = context.lifecycle.adopt(&sight.snapshot).await?;
    if matches!(outcome, Outcome::Transitioned(_)) {
        let message = "its owner is gone; another controller looks after it, its pod is untouched";
        context.observer.event(&sight.snapshot, EventReason::WorkerAdopted, message);
    }
    moved(outcome)
}

async fn make_secret(context: &Context, sight: &mut Sight, lease: &WorkerLease) -> Done {
    let key = lease.key();
    let made = match tls::Credentials::generate(&key.server_name(), context.clock.now()) {
        Ok(credentials) => {
            if planted(Bug::TokenInEvent) {
                let (reason, token) = (EventReason::PodBlocked, credentials.token());
                context.observer.event(&sight.snapshot, reason, token);
            }
            context.children.create_secret(lease, &secret::build(key, &credentials)).await
        }
        Err(error) => {
            tracing::error!(worker = %key, %error, "no certificate could be made");
            return Ok(Progress::Wait(Duration::from_secs(10)));
        }
    };
    match blocked::judge(context, sight, lease, made).await? {
        Made::Yes(()) => {
            context.caches.made.secret(&key.uid);
            sight.secret = SecretStanding::There;
            Ok(Progress::Again)
        }
        Made::No(progress) => Ok(progress),
    }
}

async fn make_pod(context: &Context, sight: &mut Sight, lease: &WorkerLease) -> Done {
    let Some(object) = context.object(lease.key()) else { return Ok(Progress::Rest) };
    let Some(secret) = context.children.made_secret(&lease.key().uid).await else {
        // None of ours, since a predecessor's pod turned up while it was to be made.
        let key = lease.key();
        sight.set_pod(context.children.read_pod(&key.namespace, &key.name).await?);
        return Ok(if sight.pod.is_some() { Progress::Again } else { Progress::Wait(RECHECK) });
    };
    let pod = match pod::build(&object, &secret) {
        Ok(pod) => marking::from_birth(context, sight, pod),
        Err(error) => return blocked::unbuildable(context, sight, lease, &error).await,
    };
    let made = context.children.create_pod(lease, &pod).await;
    match blocked::judge(context, sight, lease, made).await? {
        Made::Yes(pod) => {
            context.caches.pod_made(&lease.key().uid, &pod);
            sight.set_pod(Some(pod));
            Ok(Progress::Again)
        }
        Made::No(progress) => Ok(progress),
    }
}

fn with_address(sight: &Sight, note: Note) -> Note {
    let worker = sight.snapshot.worker();
    let ip = note.pod.as_ref().and_then(|pod| pod.ip.as_deref());
    let endpoint = ip.map(|ip| worker.spec.connection.endpoint(ip));
    Note { endpoint, server_name: Some(worker.key.server_name()), ..note }
}

/// A pod that never served needs no time to finish sessions.
const END_GRACE: Duration = Duration::from_secs(30);

async fn stop_pod(context: &Context, sight: &Sight, grace: Duration) -> Done {
    let permit = sight.snapshot.condemned().or_else(|| sight.snapshot.untaken());
    let (Some(permit), Some(pod)) = (permit, sight.pod.as_ref()) else {
        return Ok(Progress::Rest);
    };
    let draining = sight.snapshot.state() == WorkerState::Draining;
    let grace = if draining { grace } else { grace.min(END_GRACE) };
    let permit = context.children.delete_pod(permit, pod, Grace::Within(grace)).await?;
    let now = context.clock.now();
    let by = now.checked_add(grace).unwrap_or(now);
    context.caches.made.stopped(&permit.key().uid, pod, by);
    tracing::info!(worker = %permit.key(), ?grace, "its pod was told to stop");
    // The watch tells when it is gone.
    Ok(Progress::Rest)
}

/// Removes the object of a pod whose node will never report its end; its node is read again first.
async fn force_pod(context: &Context, sight: &Sight) -> Done {
    let permit = sight.snapshot.condemned().or_else(|| sight.snapshot.untaken());
    let (Some(permit), Some(pod)) = (permit, sight.pod.as_ref()) else {
        return Ok(Progress::Rest);
    };
    let name = pod.spec.node_name.as_deref().unwrap_or_default();
    let node = context.children.read_node(name).await?;
    if node.is_some_and(|node| !nodes::is_out_of_service(&node)) {
        return Ok(Progress::Wait(RECHECK));
    }
    let permit = context.children.delete_pod(permit, pod, Grace::Force).await?;
    tracing::warn!(worker = %permit.key(), node = name, "its pod was removed: its node is gone");
    Ok(Progress::Rest)
}

async fn retire_lost(context: &Context, sight: &Sight, reason: Reason) -> Done {
    let end = Terminal::Lost;
    let lifecycle = &context.lifecycle;
    let outcome =
        lifecycle.retire_from_snapshot(&sight.snapshot, end, reason, Origin::Health).await?;
    ended(context, sight, Ending::Lost, reason, outcome)
}

async fn retire_drained(context: &Context, sight: &mut Sight, lease: &WorkerLease) -> Done {
    let Some(permit) = sight.snapshot.condemned() else { return Ok(Progress::Rest) };
    let Some(swept) = sweep(context, sight, permit).await? else { return Ok(Progress::Again) };
    let outcome = context.lifecycle.retire_drained(lease, &swept, Origin::Finalizer).await?;
    // The same proof lets the finalizer go.
    sight.swept = Some(swept);
    moved(outcome)
}

async fn finish(context: &Context, sight: &mut Sight) -> Done {
    let Some(permit) = sight.snapshot.condemned().or_else(|| sight.snapshot.untaken()) else {
        return Ok(Progress::Rest);
    };
    let swept = match sight.swept.take() {
        Some(swept) => swept,
        None => match sweep(context, sight, permit).await? {
            Some(swept) => swept,
            None => return Ok(Progress::Again),
        },
    };
    sight.secret = SecretStanding::Vanished;
    if !(sight.snapshot.worker().is_deleting() && sight.snapshot.has_finalizer()) {
        return Ok(Progress::Again);
    }
    match context.children.remove_finalizer(&sight.snapshot, swept).await? {
        Finalized::Done(_) => Ok(Progress::Rest),
        Finalized::Moved => Ok(Progress::Wait(RECHECK)),
    }
}

/// The secrets, if the pod is gone by a consistent read. The cache may have told so too early:
/// then the pod that is still there is what the plan sees next.
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
