//! A worker is told its tenant's credentials: at its activation, and with each refresh.

use std::sync::Arc;
use std::time::Duration;

use duckworker_core::plan::refresh::has_it_already;
use duckworker_core::{Note, Tenant};

use crate::credentials::{CredentialSource, Credentials};
use crate::error::Error;
use crate::lifecycle::WorkerLifecycle;
use crate::outcome::{Origin, Outcome};
use crate::protocol::{NotActivated, WorkerProtocol};
use crate::token::{WorkerLease, WorkerSnapshot};

/// Tells workers their tenants' credentials. Cheap to clone.
#[derive(Clone)]
pub struct Activator {
    lifecycle: WorkerLifecycle,
    source: Arc<dyn CredentialSource>,
    protocol: Arc<dyn WorkerProtocol>,
}

/// How telling a worker went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// The API server, or the source of the credentials.
    #[error(transparent)]
    Call(#[from] Error),
    /// The worker itself.
    #[error(transparent)]
    Worker(#[from] NotActivated),
}

/// What became of one refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// The worker has the newest credentials, under a new lease.
    Done,
    /// It had them already: nothing was written.
    HadThem,
    /// It is not ours any more, or in a state in which it is left alone.
    Missed,
}

impl Activator {
    /// On behalf of an instance.
    pub fn new(
        lifecycle: WorkerLifecycle,
        source: Arc<dyn CredentialSource>,
        protocol: Arc<dyn WorkerProtocol>,
    ) -> Self {
        Self { lifecycle, source, protocol }
    }

    /// The transitions that it makes.
    pub const fn lifecycle(&self) -> &WorkerLifecycle {
        &self.lifecycle
    }

    /// How it talks to workers.
    pub const fn protocol(&self) -> &Arc<dyn WorkerProtocol> {
        &self.protocol
    }

    pub(crate) const fn source(&self) -> &Arc<dyn CredentialSource> {
        &self.source
    }

    /// The credentials of a worker's tenant, if workers like it take any.
    ///
    /// # Errors
    /// When the source cannot give them now.
    pub(crate) async fn credentials(
        &self,
        worker: &WorkerSnapshot,
        tenant: Option<&Tenant>,
    ) -> Result<Option<Credentials>, Error> {
        match tenant {
            Some(tenant) if self.protocol.takes_credentials(worker.worker()) => {
                self.source.fetch(&worker.key().namespace, tenant).await
            }
            _ => Ok(None),
        }
    }

    /// Finishes the activation of a worker of ours that is Activating: tells it its tenant's
    /// credentials, then Activating → Hot.
    ///
    /// # Errors
    /// [`NotActivated::Failed`] when the worker did not take them: abandon it. Any other: try again,
    /// for as long as its `activationTimeoutSeconds` lasts.
    pub async fn finish(
        &self,
        worker: &WorkerSnapshot,
        lease: &WorkerLease,
        deadline: Duration,
    ) -> Result<Outcome<WorkerSnapshot>, ActivationError> {
        let credentials = self.credentials(worker, worker.worker().status.tenant.as_ref()).await?;
        self.tell(worker, lease, credentials.as_ref(), deadline).await?;
        let expire_at = credentials.as_ref().and_then(|credentials| credentials.expire_at);
        let outcome = self.lifecycle.activated(lease, expire_at).await?;
        if let (Outcome::Transitioned(_), Some(credentials)) = (&outcome, &credentials) {
            self.remember(lease, credentials).await;
        }
        Ok(outcome)
    }

    /// Refreshes one worker: a new lease, then the credentials at its epoch, then their expiry in
    /// the status, which is all of it that changes. Whoever takes the worker over meanwhile keeps
    /// what he gave it: our epoch is the lower one, so the worker refuses it, and our note misses.
    ///
    /// # Errors
    /// When the API server or the worker refuses or does not answer. The worker keeps what it had.
    pub async fn refresh(
        &self,
        worker: &WorkerSnapshot,
        credentials: &Credentials,
        deadline: Duration,
    ) -> Result<Refreshed, ActivationError> {
        let uid = &worker.key().uid;
        let given = self.lifecycle.given(uid).await;
        if has_it_already(given.as_ref(), &credentials.revision, credentials.expire_at) {
            return Ok(Refreshed::HadThem);
        }
        let Some(old) = self.lifecycle.lease(uid).await? else { return Ok(Refreshed::Missed) };
        let lease = match self.lifecycle.refresh_lease(&old).await? {
            Outcome::Transitioned(lease) => lease,
            Outcome::Missed(_) => return Ok(Refreshed::Missed),
        };
        self.tell(worker, &lease, Some(credentials), deadline).await?;
        if let Some(expire_at) = credentials.expire_at {
            let note = Note { credentials_expire_at: Some(expire_at), ..Note::default() };
            match self.lifecycle.note(&lease, note, Origin::Refresh).await? {
                Outcome::Transitioned(_) => {}
                Outcome::Missed(_) => return Ok(Refreshed::Missed),
            }
        }
        self.remember(&lease, credentials).await;
        Ok(Refreshed::Done)
    }

    async fn tell(
        &self,
        worker: &WorkerSnapshot,
        lease: &WorkerLease,
        credentials: Option<&Credentials>,
        deadline: Duration,
    ) -> Result<(), NotActivated> {
        let told = self.protocol.activate(worker.worker(), lease, credentials);
        match tokio::time::timeout(deadline, told).await {
            Ok(told) => told,
            Err(_) => Err(NotActivated::Failed(format!("no answer within {deadline:?}"))),
        }
    }

    async fn remember(&self, lease: &WorkerLease, credentials: &Credentials) {
        let now = self.lifecycle.store().connection().clock.now();
        self.lifecycle.remember_given(&lease.key().uid, credentials.given(now)).await;
    }
}
