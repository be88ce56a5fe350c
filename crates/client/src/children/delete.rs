//! Deletions: with a permit by value, by uid, pod before secret.

use std::time::Duration;

use duckworker_api::{WorkerPod, labels, owned};
use duckworker_core::planted::{Bug, planted};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;

use super::Children;
use super::create::{by_uid, failed};
use crate::answer::{self, Answer};
use crate::error::{Error, ErrorClass};
use crate::token::{DeletePermit, PodGone, Swept};

/// How a pod is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grace {
    /// As its spec says.
    Spec,
    /// In this time.
    Within(Duration),
    /// At once, without waiting for its kubelet: only for a node that is gone.
    Force,
}

/// What a consistent read shows of a condemned worker's pod.
#[derive(Debug)]
pub enum PodStanding {
    /// It is gone (or was never there).
    Gone(PodGone),
    /// It is still there; the permit comes back.
    There(DeletePermit, Box<WorkerPod>),
}

impl Children {
    /// Looks whether the pod is gone. A namesake that is not this worker's does not count.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn pod_standing(&self, permit: DeletePermit) -> Result<PodStanding, Error> {
        let key = permit.key();
        let what = format!("reading Pod {}/{}", key.namespace, key.name);
        let api = self.pods(&key.namespace);
        let found =
            self.connection().read(self.deadline(), &what, || api.get_opt(&key.name)).await?;
        let stopped = |pod: &WorkerPod| pod.metadata.deletion_timestamp.is_some();
        let gone = |pod: &WorkerPod| planted(Bug::RetiredBeforePodGone) && stopped(pod);
        Ok(match found.filter(|pod| is_for(&permit, pod) && !gone(pod)) {
            Some(pod) => PodStanding::There(permit, Box::new(pod)),
            None => PodStanding::Gone(PodGone::new(permit)),
        })
    }

    /// Deletes the pod, which tells it to stop. The permit comes back: it is needed until the pod
    /// is seen gone.
    ///
    /// # Errors
    /// When the pod is not the permit's worker's ([`Error::Foreign`]), or the server does not answer
    /// or refuses: nothing follows from that, try again.
    pub async fn delete_pod(
        &self,
        permit: DeletePermit,
        pod: &WorkerPod,
        grace: Grace,
    ) -> Result<DeletePermit, Error> {
        let key = permit.key();
        let what = format!("deleting Pod {}/{}", key.namespace, key.name);
        if !is_for(&permit, pod) {
            return Err(Error::Foreign { what, kind: "Pod", name: key.name.clone() });
        }
        let mut params = by_uid(pod.metadata.uid.clone());
        params.grace_period_seconds = match grace {
            Grace::Spec => None,
            Grace::Within(time) => Some(u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)),
            Grace::Force => Some(0),
        };
        let api = self.pods(&key.namespace);
        match answer::ask(self.deadline(), api.delete(&key.name, &params)).await {
            // A conflict is about the uid: it is another pod by now, so ours is gone.
            Answer::Applied(_) | Answer::Conflict(_) => Ok(permit),
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 => Ok(permit),
            other => Err(failed(what, other)),
        }
    }

    /// Deletes every secret of a worker whose pod is gone: those with its uid in their label, if
    /// their immutable data say the same.
    ///
    /// In a namespace that is being deleted our right to list secrets may be gone before our
    /// finalizers are. Its secrets then go with it: nothing keeps one of ours, and no new one can be
    /// made there.
    ///
    /// # Errors
    /// When the server does not answer or refuses. Nothing follows from that: try again.
    pub async fn sweep_secrets(&self, gone: PodGone) -> Result<Swept, Error> {
        if planted(Bug::SweepSkipped) {
            return Ok(Swept::new(gone));
        }
        let key = gone.key();
        let api = self.secrets(&key.namespace);
        let what = format!("sweeping the secrets of DuckWorker {key}");
        let selector = format!("{}={}", labels::WORKER_UID, key.uid);
        let params = ListParams::default().labels(&selector);
        let found = self.connection().read(self.deadline(), &what, || api.list(&params)).await;
        let found = match found {
            Err(error)
                if error.class() == ErrorClass::Forbidden
                    && self.connection().is_namespace_ending(&key.namespace).await? =>
            {
                return Ok(Swept::new(gone));
            }
            found => found?,
        };
        for secret in &found.items {
            self.delete_secret(&gone, secret).await?;
        }
        Ok(Swept::new(gone))
    }

    /// Deletes the one secret of this name of a worker whose pod is gone, if its immutable data say
    /// that it is that worker's. False: they do not, or it is gone.
    ///
    /// The janitor learns a worker's name and uid from the secret alone, so it must not reach for
    /// others: a secret that only pretends to be some worker's endangers no secret but itself.
    ///
    /// # Errors
    /// When the server does not answer or refuses. Nothing follows from that: try again.
    pub async fn sweep_secret(&self, gone: PodGone, name: &str) -> Result<bool, Error> {
        let key = gone.key();
        let what = format!("reading Secret {}/{name}", key.namespace);
        let api = self.secrets(&key.namespace);
        let found = self.connection().read(self.deadline(), &what, || api.get_opt(name)).await?;
        match found {
            Some(secret) => self.delete_secret(&gone, &secret).await,
            None => Ok(false),
        }
    }

    async fn delete_secret(&self, gone: &PodGone, secret: &Secret) -> Result<bool, Error> {
        let key = gone.key();
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let what = format!("deleting Secret {}/{name}", key.namespace);
        if owned::secret_worker_uid(secret) != Some(key.uid.as_str()) {
            tracing::warn!(secret = %name, worker = %key, "a secret bears the worker's label but is not the worker's; left alone");
            return Ok(false);
        }
        let api = self.secrets(&key.namespace);
        let uid = secret.metadata.uid.clone();
        match answer::ask(self.deadline(), api.delete(name, &by_uid(uid))).await {
            Answer::Applied(_) => Ok(true),
            Answer::Conflict(_) => Ok(false),
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            other => Err(failed(what, other)),
        }
    }

    /// Deletes a secret, whosesoever: what a planted bug needs.
    #[cfg(feature = "planted")]
    #[doc(hidden)]
    pub async fn planted_delete(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let api = self.secrets(namespace);
        drop(answer::ask(self.deadline(), api.delete(name, &by_uid(None))).await);
        Ok(())
    }

    /// As far as it goes now: deletes the pod, and the secrets if the pod is gone at once.
    /// `None`: the pod takes its time; a later call goes on.
    ///
    /// # Errors
    /// When the server does not answer or refuses. Nothing follows from that: try again.
    pub async fn clean_up(&self, permit: DeletePermit) -> Result<Option<Swept>, Error> {
        let permit = match self.pod_standing(permit).await? {
            PodStanding::Gone(gone) => return self.sweep_secrets(gone).await.map(Some),
            PodStanding::There(permit, pod) if pod.metadata.deletion_timestamp.is_none() => {
                self.delete_pod(permit, &pod, Grace::Spec).await?
            }
            PodStanding::There(permit, _) => permit,
        };
        match self.pod_standing(permit).await? {
            PodStanding::Gone(gone) => self.sweep_secrets(gone).await.map(Some),
            PodStanding::There(..) => Ok(None),
        }
    }
}

/// Whether a pod is the one that the permit is for: its mark cannot be changed, nor can its uid.
fn is_for(permit: &DeletePermit, pod: &WorkerPod) -> bool {
    let recorded = permit.pod().map(|pod| pod.uid.as_str());
    owned::pod_worker_uid(pod) == Some(permit.key().uid.as_str())
        || recorded.is_some() && pod.metadata.uid.as_deref() == recorded
}
