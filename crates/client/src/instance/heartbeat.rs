//! The renewal of our own Lease, by PUT with the version last written.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{DeleteParams, PostParams};
use tokio::time::{Instant, MissedTickBehavior};

use duckworker_core::planted::{Bug, planted};

use super::lease::{InstanceState, api, state_of, with_state};
use super::{Instance, Office};
use crate::answer::{self, Answer};
use crate::connection::Connection;
use crate::store::CALL_DEADLINE;

/// Renews one Lease until the instance is over. Its end must end the process (or the session of
/// a library user): an instance that is over never writes again.
#[must_use = "without renewals the instance expires"]
pub struct Heartbeat {
    connection: Connection,
    instance: Arc<Instance>,
    lease: Lease,
}

/// What a renewal showed.
enum Beat {
    Renewed,
    /// Try again soon.
    Again,
    Over,
}

impl Heartbeat {
    pub(super) const fn new(connection: Connection, instance: Arc<Instance>, lease: Lease) -> Self {
        Self { connection, instance, lease }
    }

    /// Renews until the Lease is found expired or gone.
    pub async fn run(mut self) {
        let settings = self.instance.settings();
        let mut office = self.instance.office();
        let mut ticks = tokio::time::interval(settings.renew);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // A change of state is told at once.
                Ok(()) = office.changed() => {}
            }
            loop {
                match self.beat().await {
                    Beat::Renewed => break,
                    Beat::Again => tokio::time::sleep(retry_pause(settings.renew)).await,
                    Beat::Over => {
                        tracing::error!(owner = %self.instance.owner(), "our Lease is expired or gone: this incarnation ends");
                        self.instance.end();
                        return;
                    }
                }
            }
        }
    }

    /// Deletes the Lease of an instance that has handed over everything.
    pub async fn leave(connection: &Connection, instance: &Instance) {
        let name = super::lease_name(instance.owner());
        let api = api(connection, instance.directory().namespace());
        let params = DeleteParams::default();
        let request = api.delete(&name, &params);
        if let Answer::Unknown(doubt) = answer::ask(CALL_DEADLINE, request).await {
            tracing::warn!(%doubt, lease = name, "the Lease is left for others to expire");
        }
    }

    async fn beat(&mut self) -> Beat {
        let sent = Instant::now();
        let wanted = match *self.instance.office().borrow() {
            Office::Active => InstanceState::Active,
            Office::Draining => InstanceState::Draining,
            Office::Over => return Beat::Over,
        };
        let mut lease = with_state(self.lease.clone(), wanted);
        if let Some(spec) = lease.spec.as_mut() {
            spec.renew_time = Some(MicroTime(self.connection.clock.now()));
        }
        let namespace = self.instance.directory().namespace();
        let api = api(&self.connection, namespace);
        let name = lease.metadata.name.clone().unwrap_or_default();
        let params = PostParams::default();
        let deadline = CALL_DEADLINE.min(self.instance.settings().pause / 2);
        match answer::ask(deadline, api.replace(&name, &params, &lease)).await {
            Answer::Applied(lease) => {
                self.instance.renewed(sent);
                self.lease = lease;
                Beat::Renewed
            }
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 => Beat::Over,
            Answer::Conflict(_) => self.look(&name).await,
            Answer::Refused(error) => {
                tracing::warn!(%error, lease = name, "renewal refused");
                Beat::Again
            }
            Answer::Unknown(doubt) => {
                tracing::warn!(%doubt, lease = name, "renewal unanswered");
                Beat::Again
            }
            Answer::Throttled(pause) => {
                tokio::time::sleep(pause.min(self.instance.settings().renew)).await;
                Beat::Again
            }
        }
    }

    /// Who moved our Lease? Ourselves, by a renewal whose answer was lost; somebody who labelled
    /// it; or somebody who marked it expired, which is the end.
    async fn look(&mut self, name: &str) -> Beat {
        let api = api(&self.connection, self.instance.directory().namespace());
        match self
            .connection
            .read(CALL_DEADLINE, "reading our own Lease", || api.get_opt(name))
            .await
        {
            Ok(Some(lease)) => {
                let same = lease.metadata.uid == self.lease.metadata.uid;
                let expired = state_of(&lease) == InstanceState::Expired;
                if !same || expired && !planted(Bug::ExpiredRevives) {
                    return Beat::Over;
                }
                self.lease = lease;
                Beat::Again
            }
            Ok(None) => Beat::Over,
            Err(_) => Beat::Again,
        }
    }
}

/// A fifth of the interval: several tries fit before the pause.
fn retry_pause(renew: Duration) -> Duration {
    (renew / 5).max(Duration::from_millis(10))
}
