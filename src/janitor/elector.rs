//! Who of several instances runs the janitor: the holder of one Lease.
//!
//! Holding it is a matter of thrift, not of safety: every act of the janitor is fenced on its
//! own, so two leaders do no harm. Still the rules are those of the instances' Leases:
//!
//! - Each write is a PUT with the `resourceVersion` that was read: two never take it both.
//! - A holder counts as gone when its Lease has stood still for `expire` by the watcher's own
//!   monotonic clock; stamps in the Lease are for people.
//! - A leader leads until `pause` after it *sent* its last renewal that won, and no longer.
//! - Whoever loses it contends again, for ever; whoever is told to stop gives it up.

use std::time::Duration;

use duckworker_api::labels::COMPONENT;
use duckworker_client::Connection;
use duckworker_client::answer::{self, Answer};
use duckworker_core::Owner;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::leadership::{Leadership, Terms};
use crate::observe::JanitorMetrics;
use crate::settings::LeaseTimes;

/// The name of the Lease.
pub const LEASE: &str = "duckworker-janitor";

/// Contends for the Lease.
pub struct Elector {
    api: Api<Lease>,
    connection: Connection,
    me: Owner,
    times: LeaseTimes,
    metrics: JanitorMetrics,
    terms: Terms,
    /// The Lease as we last wrote it, while we hold it.
    held: Option<Lease>,
    /// A version of somebody else's, and since when it stands still.
    observed: Option<(String, Instant)>,
}

impl Elector {
    /// For this instance.
    pub fn new(
        connection: Connection,
        namespace: &str,
        me: Owner,
        times: LeaseTimes,
        metrics: JanitorMetrics,
    ) -> (Self, Leadership) {
        let (terms, leadership) = Terms::new();
        let api = Api::namespaced(connection.client.clone(), namespace);
        let elector =
            Self { api, connection, me, times, metrics, terms, held: None, observed: None };
        (elector, leadership)
    }

    /// Contends until it is told to stop, then gives the Lease up.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = self.contend().await;
            self.metrics.leads(self.leads());
            let _ = stop.run_until_cancelled(sleep(pause)).await;
        }
        self.resign();
        self.release().await;
    }

    fn leads(&self) -> bool {
        self.terms.is_held()
    }

    fn resign(&mut self) {
        if self.terms.resign() {
            tracing::info!("no longer runs the janitor");
        }
        self.metrics.leads(false);
    }

    /// One look and at most one write. Returns when to look again.
    async fn contend(&mut self) -> Duration {
        let stands = match self.held.clone() {
            Some(lease) => Some(lease),
            None => match answer::ask(self.deadline(), self.api.get_opt(LEASE)).await {
                Answer::Applied(lease) => lease,
                _ => return self.soon(),
            },
        };
        let Some(lease) = stands else {
            let fresh = self.claimed(Lease::default());
            return self.write(fresh, Verb::Create).await;
        };
        if holder(&lease) != Some(self.me.as_str()) {
            self.resign_if_leading();
            if holder(&lease).is_some() && !self.has_stood_still(&lease) {
                return self.times.renew;
            }
        }
        let claimed = self.claimed(lease);
        self.write(claimed, Verb::Replace).await
    }

    fn resign_if_leading(&mut self) {
        if self.terms.is_told() {
            self.resign();
        }
    }

    /// The same Lease, held by us from now on.
    fn claimed(&self, mut lease: Lease) -> Lease {
        let now = MicroTime(self.connection.clock.now());
        let mine = holder(&lease) == Some(self.me.as_str());
        let old = lease.spec.take().unwrap_or_default();
        lease.metadata.name = Some(LEASE.to_owned());
        let labels = lease.metadata.labels.get_or_insert_default();
        labels.insert(COMPONENT.to_owned(), "janitor".to_owned());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.me.to_string()),
            lease_duration_seconds: i32::try_from(self.times.expire.as_secs().max(1)).ok(),
            lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!mine)),
            acquire_time: if mine { old.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            ..LeaseSpec::default()
        });
        lease
    }

    async fn write(&mut self, lease: Lease, verb: Verb) -> Duration {
        let sent = Instant::now();
        let params = PostParams::default();
        let answer = match verb {
            Verb::Create => answer::ask(self.deadline(), self.api.create(&params, &lease)).await,
            Verb::Replace => {
                answer::ask(self.deadline(), self.api.replace(LEASE, &params, &lease)).await
            }
        };
        match answer {
            Answer::Applied(lease) => {
                self.held = Some(lease);
                self.observed = None;
                if self.terms.lead(sent + self.times.pause) {
                    tracing::info!("runs the janitor from now on");
                }
                self.times.renew
            }
            other => {
                // Whatever it was, the next look shows who holds it. Until then we lead for as
                // long as the last renewal allows.
                if let Answer::Refused(error) = &other {
                    tracing::warn!(%error, lease = LEASE, "the janitor's Lease was refused");
                }
                self.held = None;
                self.soon()
            }
        }
    }

    /// Whether somebody else's Lease has not moved for so long that its holder has given up by itself.
    fn has_stood_still(&mut self, lease: &Lease) -> bool {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match self.observed.take() {
            Some((old, since)) if old == version => since,
            _ => Instant::now(),
        };
        self.observed = Some((version, since));
        since.elapsed() >= self.times.expire
    }

    /// Gives the Lease up, so that the next leader need not wait.
    async fn release(&mut self) {
        let Some(mut lease) = self.held.take() else { return };
        lease.metadata = ObjectMeta { managed_fields: None, ..lease.metadata };
        if let Some(spec) = lease.spec.as_mut() {
            spec.holder_identity = None;
        }
        let params = PostParams::default();
        let written = answer::ask(self.deadline(), self.api.replace(LEASE, &params, &lease)).await;
        if !matches!(written, Answer::Applied(_)) {
            tracing::debug!(lease = LEASE, "not given up in time; it lapses");
        }
    }

    fn deadline(&self) -> Duration {
        (self.times.pause / 3).min(Duration::from_secs(5))
    }

    /// Several tries fit between a renewal and the end of the leadership.
    fn soon(&self) -> Duration {
        (self.times.renew / 5).max(Duration::from_millis(10))
    }
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Create,
    Replace,
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}
