//! What is seen of one worker: from caches, from our own writes where those are newer, and from
//! consistent reads where something seems to be gone.

use duckworker_api::{WorkerPod, owned};
use duckworker_client::{ClaimSnapshot, Error, Swept, WorkerLease, WorkerSnapshot};
use duckworker_core::plan::observed::{PodSeen, Whose};
use duckworker_core::plan::worker::{
    ClaimStanding, Finalizer, Health, SeatStanding, SecretStanding, TenantStanding, View,
    secret_name,
};
use duckworker_core::planted::{Bug, planted};
use duckworker_core::pool::{Reuse, Undeclared};
use duckworker_core::worker::Ownership;
use duckworker_core::{Uid, Worker, WorkerState};
use kube::runtime::reflector::ObjectRef;

use super::context::Context;
use crate::children::pod_view;
use crate::controllers::nodes;
use crate::controllers::watches::OfWorker as _;

/// One worker and what it has.
pub struct Sight {
    /// The worker, as new as this process knows it.
    pub snapshot: WorkerSnapshot,
    /// Our lease on it.
    pub lease: Option<WorkerLease>,
    /// The pod of its name.
    pub pod: Option<WorkerPod>,
    /// Its secret.
    pub secret: SecretStanding,
    /// Proof, won in this reconcile, that nothing of it is left.
    pub swept: Option<Swept>,
    /// The claim that it names.
    pub claim: ClaimStanding,
    /// Whether its tenant may have it.
    pub tenant: TenantStanding,
    /// What its health check said in this reconcile.
    pub health: Health,
    /// What is known of why it ends, besides the reason.
    pub why: Option<String>,
    seen_pod: Option<PodSeen>,
}

impl Sight {
    /// Looks at a worker.
    ///
    /// # Errors
    /// When something seems to be gone and the API server does not answer whether it is.
    pub async fn of(context: &Context, cached: WorkerSnapshot) -> Result<Self, Error> {
        let snapshot = context.lifecycle.newest(&cached).await?;
        let lease = context.lifecycle.lease(&snapshot.key().uid).await?;
        let pod = look_for_pod(context, &snapshot).await?;
        let secret = look_for_secret(context, &snapshot, pod.as_ref()).await?;
        let claim = look_for_claim(context, &snapshot).await?;
        let tenant = look_for_tenant(context, &snapshot).await?;
        let mut sight = Self {
            snapshot,
            lease,
            pod: None,
            secret,
            swept: None,
            claim,
            tenant,
            health: Health::Unknown,
            why: None,
            seen_pod: None,
        };
        sight.set_pod(pod);
        Ok(sight)
    }

    /// Takes in what our own writes changed.
    ///
    /// # Errors
    /// When an open write cannot be settled.
    pub async fn renew(&mut self, context: &Context) -> Result<(), Error> {
        let newest = context.lifecycle.newest(&self.snapshot).await?;
        let before = std::mem::replace(&mut self.snapshot, newest);
        // What was seen of the pod and the secret was seen before somebody recorded other ones: a
        // process that stood still in between would take the pod that its successor made for gone.
        if recorded(before.worker()) != recorded(self.snapshot.worker()) {
            let pod = look_for_pod(context, &self.snapshot).await?;
            self.secret = look_for_secret(context, &self.snapshot, pod.as_ref()).await?;
            self.set_pod(pod);
        }
        self.lease = context.lifecycle.lease(&self.snapshot.key().uid).await?;
        self.claim = look_for_claim(context, &self.snapshot).await?;
        Ok(())
    }

    /// Takes in a pod.
    pub fn set_pod(&mut self, pod: Option<WorkerPod>) {
        let uid = &self.snapshot.key().uid;
        self.seen_pod = pod.as_ref().and_then(|pod| pod_view::see(pod, uid).ok());
        let end = self.seen_pod.as_ref().and_then(PodSeen::ended);
        self.why = end.map(|trouble| trouble.message.clone());
        self.pod = pod;
    }

    /// The worker with the address that its pod has now: the status tells it only from Idle on.
    pub fn addressed(&self) -> Worker {
        let mut worker = self.snapshot.worker().clone();
        if let (Some(pod), Some(seen)) = (worker.status.pod.as_mut(), &self.seen_pod) {
            pod.ip.clone_from(&seen.ip);
        }
        worker
    }

    fn seat(&self, context: &Context) -> SeatStanding {
        let is_new = self.snapshot.state() == WorkerState::Pending;
        if !is_new || self.snapshot.worker().pool.is_none() {
            return SeatStanding::NotNeeded;
        }
        match context.caches.seat_of(&self.snapshot) {
            Some(_) => SeatStanding::Taken,
            None => SeatStanding::Missing,
        }
    }

    /// What the plan may know.
    pub fn view(&self, context: &Context) -> View<'_> {
        let worker = self.snapshot.worker();
        View {
            worker,
            finalizer: if self.snapshot.has_finalizer() { Finalizer::On } else { Finalizer::Off },
            holder: context.peers.holder(&worker.status),
            turn: context.peers.turn(&worker.key.uid),
            seat: self.seat(context),
            claim: self.claim,
            tenant: self.tenant,
            pod: self.seen_pod.as_ref(),
            node: nodes::standing(&context.caches.nodes, self.seen_pod.as_ref()),
            disruption: context.caches.disruption_of(&self.snapshot),
            secret: self.secret,
            health: self.health,
            now: context.clock.now(),
        }
    }
}

/// It goes, whatever becomes of its secret, its claim and its tenant: nobody asks for those any more,
/// which we may not even be allowed to where its namespace is being deleted.
const fn leaves(worker: &Worker) -> bool {
    worker.is_deleting() || worker.status.state.is_condemned()
}

/// The claim that a worker names. One that seems to be gone is asked for, since the cache may lag,
/// unless the watch told its end.
async fn look_for_claim(context: &Context, seen: &WorkerSnapshot) -> Result<ClaimStanding, Error> {
    let worker = seen.worker();
    let Some(named) = worker.status.claim.as_ref() else { return Ok(ClaimStanding::None) };
    if leaves(worker) {
        return Ok(ClaimStanding::Wants);
    }
    let namespace = &worker.key.namespace;
    let is_it = |claim: &ClaimSnapshot| claim.claim().key.uid == named.uid;
    let cached = context.caches.claims.named(namespace, &named.name).filter(is_it);
    let claim = match cached {
        Some(claim) => Some(claim),
        None if context.caches.claims.saw_the_end_of(&named.uid) => None,
        None => context.claims.observe(namespace, &named.name).await?.filter(is_it),
    };
    if claim.is_some_and(|claim| claim.claim().wants(&worker.key.uid)) {
        return Ok(ClaimStanding::Wants);
    }
    Ok(match context.caches.reuse_of(seen) {
        Reuse::SameTenant => ClaimStanding::GoneAndReused,
        Reuse::Never => ClaimStanding::GoneForGood,
    })
}

/// Whether a worker's tenant may have it. One that seems to be gone is asked for: the cache may lag.
async fn look_for_tenant(
    context: &Context,
    seen: &WorkerSnapshot,
) -> Result<TenantStanding, Error> {
    let worker = seen.worker();
    let Some(tenant) = worker.status.tenant.as_ref() else { return Ok(TenantStanding::Welcome) };
    let namespace = &worker.key.namespace;
    let strict = context.caches.undeclared_of(seen) == Undeclared::Refuse;
    if !strict
        || leaves(worker)
        || context.caches.tenants.named(namespace, tenant.as_str()).is_some()
    {
        return Ok(TenantStanding::Welcome);
    }
    let found = context.tenants.observe(namespace, tenant.as_str()).await?;
    Ok(if found.is_some() { TenantStanding::Welcome } else { TenantStanding::Gone })
}

/// Whose it is, and which pod and secret are its own.
fn recorded(worker: &Worker) -> (Option<&Ownership>, Option<&Uid>, Option<&str>) {
    let status = &worker.status;
    let pod = status.pod.as_ref().map(|pod| &pod.uid);
    (status.ownership.as_ref(), pod, status.secret_name.as_deref())
}

/// The cache's pod, or the one that was just made. One that is recorded and seems to be gone is
/// asked for: the cache may lag.
async fn look_for_pod(
    context: &Context,
    seen: &WorkerSnapshot,
) -> Result<Option<WorkerPod>, Error> {
    let key = seen.key();
    let reference = ObjectRef::new(&key.name).within(&key.namespace);
    let made = &context.caches.made;
    let cached = context.caches.pods.get(&reference);
    let cached = cached.map(|pod| made.as_told(&key.uid, (*pod).clone()));
    let status = &seen.worker().status;
    let recorded = status.pod.as_ref().map(|pod| pod.uid.as_str());
    let is_it = |pod: &WorkerPod| recorded.is_none() || pod.metadata.uid.as_deref() == recorded;
    if cached.as_ref().is_some_and(is_it) {
        return Ok(cached);
    }
    if let Some(unseen) = made.unseen_pod(&key.uid).filter(is_it) {
        return Ok(Some(unseen));
    }
    if recorded.is_none() || status.state.is_condemned() || planted(Bug::CacheSaysPodGone) {
        return Ok(cached);
    }
    context.children.read_pod(&key.namespace, &key.name).await
}

/// The cache's secret. One that seems to be gone or to be another is asked for: which one it must
/// be is known from having made it, or from the pod that was made with it.
async fn look_for_secret(
    context: &Context,
    seen: &WorkerSnapshot,
    pod: Option<&WorkerPod>,
) -> Result<SecretStanding, Error> {
    let worker = seen.worker();
    let (key, status) = (&worker.key, &worker.status);
    let name = secret_name(worker);
    let reference = ObjectRef::new(&name).within(&key.namespace);
    let cached = context.caches.secrets.get(&reference);
    let cached = cached.filter(|secret| secret.worker_uid() == Some(key.uid.as_str()));
    if status.state == WorkerState::Pending {
        // Whatever is there already was made by somebody who knew our marks.
        return Ok(SecretStanding::NotMade);
    }
    if leaves(worker) {
        // All that matters is whether there is something to sweep.
        let there = cached.is_some();
        return Ok(if there { SecretStanding::There } else { SecretStanding::NotMade });
    }
    let made = context.children.made_secret(&key.uid).await;
    if status.secret_name.is_none() && made.is_none() {
        return Ok(SecretStanding::NotMade);
    }
    let mounted = pod.filter(|pod| pod_view::whose(pod, &key.uid) == Whose::Ours);
    let wanted = made.as_ref().map(Uid::as_str).or_else(|| mounted.and_then(owned::pod_secret_uid));
    let is_it = |uid: Option<&str>| uid.is_some_and(|uid| wanted.is_none_or(|own| own == uid));
    if is_it(cached.as_ref().map(|secret| secret.uid.as_str()))
        || context.caches.made.has_unseen_secret(&key.uid)
    {
        return Ok(SecretStanding::There);
    }
    if planted(Bug::CacheSaysSecretGone) {
        return Ok(SecretStanding::Vanished);
    }
    let found = context.children.secret_uid(&key.namespace, &name).await?;
    Ok(if is_it(found.as_deref()) { SecretStanding::There } else { SecretStanding::Vanished })
}
