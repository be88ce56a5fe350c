//! What is seen of one worker: from caches, from our own writes where those are newer, and from
//! consistent reads where something seems to be gone.

use duckworker_client::{Error, WorkerLease, WorkerSnapshot};
use duckworker_core::WorkerState;
use duckworker_core::plan::observed::PodSeen;
use duckworker_core::plan::worker::{Finalizer, Health, SecretStanding, View, secret_name};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::ObjectRef;

use super::context::Context;
use crate::children::pod_view;

/// One worker and what it has.
pub struct Sight {
    /// The worker, as new as this process knows it.
    pub snapshot: WorkerSnapshot,
    /// Our lease on it.
    pub lease: Option<WorkerLease>,
    /// The pod of its name.
    pub pod: Option<Pod>,
    /// Its secret.
    pub secret: SecretStanding,
    /// What its health check said in this reconcile.
    pub health: Health,
    seen_pod: Option<PodSeen>,
}

impl Sight {
    /// Looks at a worker.
    ///
    /// # Errors
    /// When something seems to be gone and the API server does not answer whether it is.
    pub async fn of(context: &Context, cached: WorkerSnapshot) -> Result<Self, Error> {
        let snapshot = context.lifecycle.newest(&cached).await;
        let lease = context.lifecycle.lease(&snapshot.key().uid).await?;
        let pod = look_for_pod(context, &snapshot).await?;
        let secret = look_for_secret(context, &snapshot).await?;
        let mut sight =
            Self { snapshot, lease, pod: None, secret, health: Health::Unknown, seen_pod: None };
        sight.set_pod(pod);
        Ok(sight)
    }

    /// Takes in what our own writes changed.
    ///
    /// # Errors
    /// When an open write cannot be settled.
    pub async fn renew(&mut self, context: &Context) -> Result<(), Error> {
        self.snapshot = context.lifecycle.newest(&self.snapshot).await;
        self.lease = context.lifecycle.lease(&self.snapshot.key().uid).await?;
        Ok(())
    }

    /// Takes in a pod.
    pub fn set_pod(&mut self, pod: Option<Pod>) {
        let uid = &self.snapshot.key().uid;
        self.seen_pod = pod.as_ref().and_then(|pod| pod_view::see(pod, uid).ok());
        self.pod = pod;
    }

    /// What the plan may know.
    pub fn view(&self, context: &Context) -> View<'_> {
        let worker = self.snapshot.worker();
        View {
            worker,
            finalizer: if self.snapshot.has_finalizer() { Finalizer::On } else { Finalizer::Off },
            holder: context.peers.holder(&worker.status),
            turn: context.peers.turn(&worker.key.uid),
            pod: self.seen_pod.as_ref(),
            secret: self.secret,
            health: self.health,
            now: context.clock.now(),
        }
    }
}

/// The cache's pod. One that is recorded and not in the cache is asked for: the cache may lag
/// behind our own creation.
async fn look_for_pod(context: &Context, seen: &WorkerSnapshot) -> Result<Option<Pod>, Error> {
    let key = seen.key();
    let reference = ObjectRef::new(&key.name).within(&key.namespace);
    let cached = context.caches.pods.get(&reference).map(|pod| (*pod).clone());
    let status = &seen.worker().status;
    let recorded = status.pod.as_ref().map(|pod| pod.uid.as_str());
    let is_it = |pod: &Pod| recorded.is_none() || pod.metadata.uid.as_deref() == recorded;
    if cached.as_ref().is_some_and(is_it) || recorded.is_none() || status.state.is_condemned() {
        return Ok(cached);
    }
    context.children.read_pod(&key.namespace, &key.name).await
}

async fn look_for_secret(
    context: &Context,
    seen: &WorkerSnapshot,
) -> Result<SecretStanding, Error> {
    let worker = seen.worker();
    let key = &worker.key;
    let name = secret_name(worker);
    let reference = ObjectRef::new(&name).within(&key.namespace);
    if worker.status.state == WorkerState::Pending {
        return Ok(SecretStanding::NotMade);
    }
    let cached = context.caches.secrets.get(&reference).is_some();
    if worker.status.secret_name.is_none() {
        let made = context.children.made_secret(&key.uid).await;
        return Ok(if made { SecretStanding::There } else { SecretStanding::NotMade });
    }
    let there = cached
        || (!worker.status.state.is_condemned()
            && context.children.has_secret(&key.namespace, &name).await?);
    Ok(if there { SecretStanding::There } else { SecretStanding::Vanished })
}
