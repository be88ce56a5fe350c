//! What workers are told for their tenant, and where it comes from.

use std::collections::BTreeMap;
use std::fmt;

use duckworker_core::Tenant;
use duckworker_core::plan::refresh::Given;
use futures::future::BoxFuture;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::error::Error;

/// What a worker is told for its tenant: every member, as it stands in the tenant's activation
/// secret. A refresh hands on the whole of it again, so that no member is ever lost on the way.
#[derive(Clone)]
pub struct Credentials {
    /// Which edition: the same text for the same content, another for another.
    pub revision: String,
    /// When they expire, if they do.
    pub expire_at: Option<Timestamp>,
    /// The members, wiped from memory when they are dropped.
    pub members: BTreeMap<String, Zeroizing<Vec<u8>>>,
}

impl Credentials {
    /// What to remember of having told them at this time.
    pub(crate) fn given(&self, at: Timestamp) -> Given {
        Given { revision: self.revision.clone(), at, expire_at: self.expire_at }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("revision", &self.revision)
            .field("expire_at", &self.expire_at)
            .field("members", &self.members.keys())
            .finish()
    }
}

/// Where tenants' credentials come from.
pub trait CredentialSource: Send + Sync {
    /// Which edition a tenant's credentials have now; none if it has none. Asked of every worker
    /// at every look, so it costs no call: a source that cannot know answers with a constant.
    fn revision(&self, namespace: &str, tenant: &Tenant) -> Option<String>;

    /// The credentials themselves.
    ///
    /// # Errors
    /// When they cannot be had now. What the workers have stays as it is, and it is tried again.
    fn fetch<'a>(
        &'a self,
        namespace: &'a str,
        tenant: &'a Tenant,
    ) -> BoxFuture<'a, Result<Option<Credentials>, Error>>;
}

/// No tenant has any.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCredentials;

impl CredentialSource for NoCredentials {
    fn revision(&self, _: &str, _: &Tenant) -> Option<String> {
        None
    }

    fn fetch<'a>(
        &'a self,
        _: &'a str,
        _: &'a Tenant,
    ) -> BoxFuture<'a, Result<Option<Credentials>, Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
