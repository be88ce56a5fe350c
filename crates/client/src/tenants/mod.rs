//! Tenants: what they may have, and what their workers are told.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | consistent reads, and the one write of their status |
//! | `places` | whether a claim keeps its tenant's cap: the ledger, entered before the worker is claimed |
//! | [`secrets`] | credentials out of activation secrets |

pub(crate) mod places;
pub mod secrets;

use std::sync::Arc;

use duckworker_api::tenant::{parse, wire};
use duckworker_api::{DuckTenant, DuckWorker, Unreadable, labels};
use duckworker_core::tenant::{DeclaredTenant, TenantStatus};
use duckworker_core::{Version, WorkerKey};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

pub use self::secrets::TenantSecrets;
use crate::answer::{self, Answer};
use crate::error::Error;
use crate::instance::Instance;
use crate::status::{self, Snapshot, Written};
use crate::store::{WorkerStore, version_of};

/// A tenant as it was read. Comes only out of the API server's answers.
#[derive(Debug, Clone)]
pub struct TenantSnapshot {
    tenant: Arc<DeclaredTenant>,
    version: Version,
    object: Arc<DuckTenant>,
}

impl TenantSnapshot {
    /// The tenant as it was read.
    pub fn tenant(&self) -> &DeclaredTenant {
        &self.tenant
    }

    /// The newer of two readings of the same tenant.
    #[must_use]
    pub fn newer(self, other: Self) -> Self {
        let same = self.tenant.key.uid == other.tenant.key.uid;
        if same && other.version > self.version { other } else { self }
    }
}

impl Snapshot for TenantSnapshot {
    type Kind = DuckTenant;

    fn parse(object: Arc<DuckTenant>) -> Result<Self, Unreadable> {
        let version =
            version_of(&object.metadata).ok_or(Unreadable::Missing("metadata.resourceVersion"))?;
        Ok(Self { tenant: Arc::new(parse::tenant(&object)?), version, object })
    }

    fn object(&self) -> &DuckTenant {
        &self.object
    }

    fn version(&self) -> &Version {
        &self.version
    }
}

/// Reads and writes tenants, on behalf of one registered instance.
#[derive(Clone)]
pub struct TenantStore {
    store: WorkerStore,
    instance: Arc<Instance>,
}

impl TenantStore {
    /// For an instance.
    pub const fn new(store: WorkerStore, instance: Arc<Instance>) -> Self {
        Self { store, instance }
    }

    /// A consistent read. `None`: there is no tenant of that name.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server does not answer, [`Error::Unreadable`] for a newer
    /// version's object.
    pub async fn observe(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<TenantSnapshot>, Error> {
        status::observe(&self.store, namespace, name).await
    }

    /// Writes a status over the version that was read.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn write(
        &self,
        seen: &TenantSnapshot,
        status: &TenantStatus,
    ) -> Result<Written<TenantSnapshot>, Error> {
        let body = wire::status(status, seen.object.status.as_ref());
        status::write(&self.store, &self.instance, seen, body).await
    }

    /// Moves a worker on to another version, so that no write based on an earlier one can land:
    /// by a mark in its annotations, which says nothing else.
    ///
    /// # Errors
    /// When the server refuses or does not answer. It is safe to try again.
    pub async fn move_on(&self, worker: &WorkerKey) -> Result<(), Error> {
        let what = format!("moving DuckWorker {worker} on to another version");
        self.instance.in_office(|| what.clone())?;
        let connection = self.store.connection();
        let mark = format!("{:016x}", connection.dice.roll());
        let patch = json!({ "metadata": {
            "uid": worker.uid.as_str(),
            "annotations": { labels::MOVED_ON: mark },
        }});
        let api: Api<DuckWorker> = Api::namespaced(connection.client.clone(), &worker.namespace);
        let (patch, params) = (Patch::Merge(patch), PatchParams::default());
        let sent = api.patch_metadata(&worker.name, &params, &patch);
        match answer::ask(self.store.deadline(), sent).await {
            Answer::Applied(_) | Answer::Conflict(_) => Ok(()),
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => Err(crate::children::failed(what, other)),
        }
    }
}
