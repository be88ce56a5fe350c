//! The expiry of others: a write, not an opinion. Who has seen a Lease stand still for long
//! enough, by its own monotonic clock, marks it by a compare-and-swap on that very version.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use tokio::time::Instant;

use super::Instance;
use super::lease::{InstanceState, api, state_of, with_state};
use crate::answer::{self, Answer};
use crate::connection::Connection;
use crate::error::Error;
use crate::store::CALL_DEADLINE;

/// Watches over the Leases of all instances.
pub struct Expiry {
    connection: Connection,
    instance: Arc<Instance>,
    seen: HashMap<String, Sighting>,
}

struct Sighting {
    version: String,
    /// Since when it stands still, as far as we could have noticed.
    still_since: Instant,
}

impl Expiry {
    /// For this instance.
    pub fn new(connection: Connection, instance: Arc<Instance>) -> Self {
        Self { connection, instance, seen: HashMap::new() }
    }

    /// Looks at all Leases of instances as the watch cache has them, and marks those expired that
    /// have stood still too long. Returns how many it marked.
    ///
    /// Time counts only while our own renewals succeed: an outage of the API server makes every
    /// Lease stand still and expires nobody.
    pub async fn tick(&mut self, leases: &[Arc<Lease>]) -> usize {
        let now = Instant::now();
        let settings = self.instance.settings();
        let silent = now.duration_since(self.instance.last_renewal());
        if silent > settings.renew.saturating_mul(2) {
            // We may have been cut off: start all counts again once we are back.
            self.seen.clear();
            return 0;
        }
        self.sight(leases, now);
        let mut marked = 0;
        for lease in leases {
            if self.is_due(lease, now, settings.expire) {
                match self.mark(lease).await {
                    Ok(true) => marked += 1,
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "an instance could not be marked expired"),
                }
            }
        }
        marked
    }

    fn sight(&mut self, leases: &[Arc<Lease>], now: Instant) {
        let mut before = std::mem::take(&mut self.seen);
        for lease in leases {
            let (Some(uid), Some(version)) =
                (lease.metadata.uid.clone(), lease.metadata.resource_version.clone())
            else {
                continue;
            };
            let sighting = match before.remove(&uid) {
                Some(old) if old.version == version => old,
                _ => Sighting { version, still_since: now },
            };
            self.seen.insert(uid, sighting);
        }
    }

    fn is_due(&self, lease: &Lease, now: Instant, expire: Duration) -> bool {
        let still = lease
            .metadata
            .uid
            .as_ref()
            .and_then(|uid| self.seen.get(uid))
            .map_or(Duration::ZERO, |seen| now.duration_since(seen.still_since));
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        let own = holder == Some(self.instance.owner().as_str());
        !own && still >= expire && state_of(lease) != InstanceState::Expired
    }

    /// Marks the version that stood still; a conflict means that it moved, so it lives.
    async fn mark(&self, lease: &Lease) -> Result<bool, Error> {
        let namespace = lease.metadata.namespace.clone().unwrap_or_default();
        let name = lease.metadata.name.clone().unwrap_or_default();
        let what = format!("marking Lease {namespace}/{name} expired");
        let marked = with_state(lease.clone(), InstanceState::Expired);
        let api = api(&self.connection, &namespace);
        let params = PostParams::default();
        match answer::ask(CALL_DEADLINE, api.replace(&name, &params, &marked)).await {
            Answer::Applied(_) => {
                tracing::warn!(lease = name, "instance marked expired: its Lease stood still");
                Ok(true)
            }
            Answer::Conflict(_) => Ok(false),
            Answer::Refused(source) => Err(Error::Refused { what, source }),
            Answer::Throttled(pause) => Err(Error::Throttled { what, pause }),
            Answer::Unknown(source) => Err(Error::Unavailable { what, source }),
        }
    }
}
