//! The expiry of others: a write, not an opinion. Who has seen a Lease stand still for long
//! enough, by its own monotonic clock, marks it by a compare-and-swap on that very version; so it
//! does with one that says for too long that its instance leaves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use duckworker_core::plan::janitor::instances::is_overdue;
use duckworker_core::planted::{Bug, planted};
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
    draining_limit: Duration,
    seen: HashMap<String, Sighting>,
}

struct Sighting {
    version: String,
    /// Since when it stands still, as far as we could have noticed.
    still_since: Instant,
    /// Since when it says that its instance leaves.
    draining_since: Option<Instant>,
}

/// Why an instance counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumIter)]
pub enum Cause {
    /// Its Lease stood still.
    #[strum(to_string = "its Lease was not renewed in time")]
    StoodStill,
    /// It was leaving for longer than any instance may.
    #[strum(to_string = "it was leaving for longer than an instance may")]
    DrainedTooLong,
}

/// A Lease that is to be marked expired, in the version that was seen.
#[derive(Debug, Clone)]
pub struct Due {
    /// The Lease as it was seen.
    pub lease: Arc<Lease>,
    /// Why it is due.
    pub cause: Cause,
}

impl Expiry {
    /// For this instance. Others may drain for `draining_limit`.
    pub fn new(connection: Connection, instance: Arc<Instance>, draining_limit: Duration) -> Self {
        Self { connection, instance, draining_limit, seen: HashMap::new() }
    }

    /// Looks at all Leases of instances as the watch cache has them. Returns those that have stood
    /// still or drained for too long: they are to be marked.
    ///
    /// Time counts only while our own renewals succeed: an outage of the API server makes every
    /// Lease stand still and expires nobody.
    pub fn look(&mut self, leases: &[Arc<Lease>]) -> Vec<Due> {
        let now = Instant::now();
        let settings = self.instance.settings();
        let silent = now.duration_since(self.instance.last_renewal());
        if silent > settings.renew.saturating_mul(2) && !planted(Bug::ExpiryIgnoresOwnSilence) {
            // We may have been cut off: start all counts again once we are back.
            self.seen.clear();
            return Vec::new();
        }
        self.sight(leases, now);
        let due = |lease: &Arc<Lease>| {
            let cause = self.due(lease, now, settings.expire)?;
            Some(Due { lease: Arc::clone(lease), cause })
        };
        leases.iter().filter_map(due).collect()
    }

    fn sight(&mut self, leases: &[Arc<Lease>], now: Instant) {
        let mut before = std::mem::take(&mut self.seen);
        for lease in leases {
            let (Some(uid), Some(version)) =
                (lease.metadata.uid.clone(), lease.metadata.resource_version.clone())
            else {
                continue;
            };
            let old = before.remove(&uid);
            let draining_since = (state_of(lease) == InstanceState::Draining)
                .then(|| old.as_ref().and_then(|old| old.draining_since).unwrap_or(now));
            let still_since =
                old.filter(|old| old.version == version).map_or(now, |old| old.still_since);
            self.seen.insert(uid, Sighting { version, still_since, draining_since });
        }
    }

    fn due(&self, lease: &Lease, now: Instant, expire: Duration) -> Option<Cause> {
        let state = state_of(lease);
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        let own = holder == Some(self.instance.owner().as_str());
        if own || state == InstanceState::Expired {
            return None;
        }
        let seen = lease.metadata.uid.as_ref().and_then(|uid| self.seen.get(uid))?;
        let draining_for =
            seen.draining_since.map_or(Duration::ZERO, |since| now.duration_since(since));
        if now.duration_since(seen.still_since) >= expire || self.is_old(lease, expire) {
            Some(Cause::StoodStill)
        } else if is_overdue(state.into(), draining_for, self.draining_limit) {
            Some(Cause::DrainedTooLong)
        } else {
            None
        }
    }

    /// A planted bug: the stamp of somebody else's clock, compared with ours.
    fn is_old(&self, lease: &Lease, expire: Duration) -> bool {
        let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref());
        let age = renewed.map(|at| self.connection.clock.now().duration_since(at.0));
        planted(Bug::WallClockExpiry) && age.is_some_and(|age| age.unsigned_abs() >= expire)
    }

    /// Marks the version that was seen. False: it moved meanwhile, which proves life, or is gone.
    ///
    /// # Errors
    /// When the server refuses or does not answer; it stays due.
    pub async fn mark(&self, due: &Due) -> Result<bool, Error> {
        let Due { lease, cause } = due;
        let namespace = lease.metadata.namespace.clone().unwrap_or_default();
        let name = lease.metadata.name.clone().unwrap_or_default();
        let what = format!("marking Lease {namespace}/{name} expired");
        let marked = with_state(Lease::clone(lease), InstanceState::Expired);
        let api = api(&self.connection, &namespace);
        let params = PostParams::default();
        match answer::ask(CALL_DEADLINE, api.replace(&name, &params, &marked)).await {
            Answer::Applied(_) => {
                tracing::warn!(lease = name, %cause, "instance marked expired");
                Ok(true)
            }
            Answer::Conflict(_) => Ok(false),
            // Somebody cleaned up: it is as dead as it can be.
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Answer::Refused(source) => Err(Error::Refused { what, source }),
            Answer::Throttled(pause) => Err(Error::Throttled { what, pause }),
            Answer::Unknown(source) => Err(Error::Unavailable { what, source }),
        }
    }
}
