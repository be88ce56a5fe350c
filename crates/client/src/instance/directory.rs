//! The standing of instances, by consistent reads. What is final is remembered.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use duckworker_core::{Owner, OwnerStanding};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Preconditions};

use super::lease::{InstanceState, api, lease_name, state_of};
use crate::answer::{self, Answer};
use crate::connection::Connection;
use crate::error::Error;
use crate::store::CALL_DEADLINE;

/// Tells whether an owner lives.
#[derive(Clone)]
pub struct Directory {
    connection: Connection,
    namespace: Arc<str>,
    /// Owners seen expired: that never reverts, so it need not be read again.
    expired: Arc<Mutex<HashSet<Owner>>>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Directory {
    pub(super) fn new(connection: Connection, namespace: &str) -> Self {
        Self { connection, namespace: namespace.into(), expired: Arc::default() }
    }

    /// The namespace of all instances' Leases.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The standing of an owner, by a consistent read of its Lease.
    ///
    /// # Errors
    /// When the server does not answer: then nobody may be taken for dead.
    pub async fn standing(&self, owner: &Owner) -> Result<OwnerStanding, Error> {
        if self.expired.lock().unwrap_or_else(PoisonError::into_inner).contains(owner) {
            return Ok(OwnerStanding::Expired);
        }
        let name = lease_name(owner);
        let what = format!("reading Lease {}/{name} of instance {owner}", self.namespace);
        let api = api(&self.connection, &self.namespace);
        let lease = self.connection.read(CALL_DEADLINE, &what, || api.get_opt(&name)).await?;
        let standing = lease.as_ref().map_or(OwnerStanding::Absent, |l| state_of(l).into());
        if standing == OwnerStanding::Expired {
            self.expired.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.clone());
        }
        Ok(standing)
    }

    /// Deletes the Lease of a dead instance, in the very version that was seen expired. Its owner
    /// stays dead: no Lease says the same as an expired one. False: it was not expired, or has
    /// moved or gone meanwhile.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn forget(&self, lease: &Lease) -> Result<bool, Error> {
        if state_of(lease) != InstanceState::Expired {
            return Ok(false);
        }
        let name = lease.metadata.name.as_deref().unwrap_or_default();
        let what = format!("deleting the expired Lease {}/{name}", self.namespace);
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: lease.metadata.uid.clone(),
            resource_version: lease.metadata.resource_version.clone(),
        });
        let api = api(&self.connection, &self.namespace);
        match answer::ask(CALL_DEADLINE, api.delete(name, &params)).await {
            Answer::Applied(_) => Ok(true),
            Answer::Conflict(_) => Ok(false),
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Answer::Refused(source) => Err(Error::Refused { what, source }),
            Answer::Throttled(pause) => Err(Error::Throttled { what, pause }),
            Answer::Unknown(source) => Err(Error::Unavailable { what, source }),
        }
    }
}
