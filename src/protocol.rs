//! What the controller asks of a running worker. Worker protocols stand behind the client crate's
//! [`WorkerProtocol`]: Flight has a crate of its own, and here is what stands for none.

use duckworker_client::{Credentials, NotActivated, WorkerLease, WorkerProtocol};
use duckworker_core::Worker;
use duckworker_core::plan::health::Finding;
use duckworker_core::plan::observed::{PodPhase, PodSeen, Readiness};
use duckworker_core::worker::Protocol;
use duckworker_flight::Flight;
use futures::future::BoxFuture;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::watch;

use crate::children::pod_view;
use crate::controllers::worker::context::Caches;

/// Each worker in the language of its `spec.connection.protocol`.
pub struct Spoken {
    flight: Flight,
    readiness: PodReadiness,
}

impl Spoken {
    /// By these two.
    pub const fn new(flight: Flight, readiness: PodReadiness) -> Self {
        Self { flight, readiness }
    }

    fn of(&self, worker: &Worker) -> &dyn WorkerProtocol {
        match worker.spec.connection.protocol {
            Protocol::Flight => &self.flight,
            Protocol::None => &self.readiness,
        }
    }
}

impl WorkerProtocol for Spoken {
    fn probe<'a>(&'a self, worker: &'a Worker) -> BoxFuture<'a, Finding> {
        self.of(worker).probe(worker)
    }

    fn takes_credentials(&self, worker: &Worker) -> bool {
        self.of(worker).takes_credentials(worker)
    }

    fn activate<'a>(
        &'a self,
        worker: &'a Worker,
        lease: &'a WorkerLease,
        credentials: Option<&'a Credentials>,
    ) -> BoxFuture<'a, Result<(), NotActivated>> {
        self.of(worker).activate(worker, lease, credentials)
    }
}

/// Nothing is asked: the pod's readiness, as the watch on pods shows it, is the worker's health,
/// and there is nothing to activate.
#[derive(Clone)]
pub struct PodReadiness {
    /// The caches of the scopes that are filled.
    caches: watch::Receiver<Vec<Caches>>,
}

impl PodReadiness {
    /// As these caches show it.
    pub const fn new(caches: watch::Receiver<Vec<Caches>>) -> Self {
        Self { caches }
    }

    fn find(&self, worker: &Worker) -> Finding {
        let key = &worker.key;
        let pod = ObjectRef::new(&key.name).within(&key.namespace);
        let found = self.caches.borrow().iter().find_map(|caches| caches.pods.get(&pod));
        let seen = found.and_then(|pod| pod_view::see(&pod, &key.uid).ok());
        let recorded = worker.status.pod.as_ref().map(|pod| &pod.uid);
        let ours = seen.filter(|pod| pod.is_ours() && recorded.is_none_or(|uid| *uid == pod.uid));
        ours.as_ref().map_or(Finding::Unclear, finding)
    }
}

/// A pod that ended, was told to stop or is gone is no matter of health: the plan of its worker
/// sees to that, with its reason.
fn finding(pod: &PodSeen) -> Finding {
    match &pod.phase {
        _ if pod.stop.is_some() => Finding::Unclear,
        PodPhase::Running(Readiness::Ready) => Finding::Healthy,
        PodPhase::Running(Readiness::NotReady) => Finding::Failed,
        PodPhase::Starting { .. } | PodPhase::Ended(_) => Finding::Unclear,
    }
}

impl WorkerProtocol for PodReadiness {
    fn probe<'a>(&'a self, worker: &'a Worker) -> BoxFuture<'a, Finding> {
        Box::pin(std::future::ready(self.find(worker)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use duckworker_core::plan::observed::{PodStop, Trouble, Whose};
    use duckworker_core::{Reason, Uid};
    use jiff::Timestamp;

    fn pod(phase: PodPhase) -> PodSeen {
        let uid = Uid::new("pod-1").unwrap();
        PodSeen { uid, whose: Whose::Ours, phase, stop: None, ip: None, node: None, mark: None }
    }

    #[test]
    fn readiness_is_health_and_ends_are_others_business() {
        assert_eq!(finding(&pod(PodPhase::Running(Readiness::Ready))), Finding::Healthy);
        assert_eq!(finding(&pod(PodPhase::Running(Readiness::NotReady))), Finding::Failed);
        let ended = PodPhase::Ended(Trouble::new(Reason::Crashed, "it ended"));
        assert_eq!(finding(&pod(ended)), Finding::Unclear);
        let why = Trouble::new(Reason::Evicted, "evicted");
        let stop = Some(PodStop { by: Timestamp::UNIX_EPOCH, why });
        let stopping = PodSeen { stop, ..pod(PodPhase::Running(Readiness::NotReady)) };
        assert_eq!(finding(&stopping), Finding::Unclear);
    }
}
