//! How workers that speak Arrow Flight are asked for their health and told their tenants'
//! credentials: by actions with JSON bodies, over TLS with the worker's own certificate pinned and
//! its token in `authorization`.
//!
//! | file | holds |
//! |---|---|
//! | `lib.rs` | the protocol behind the client crate's seam |
//! | [`bodies`] | what is said and what is answered, without any I/O |
//! | [`reach`] | the way to one worker: address, certificate, token, one connection |
//! | [`ways`] | the ways that are known, each opened once and closed when nobody uses it |

pub mod bodies;
pub mod reach;
pub mod ways;

use duckworker_client::{Connection, Credentials, NotActivated, WorkerLease, WorkerProtocol};
use duckworker_core::Worker;
use duckworker_core::plan::health::Finding;
use futures::future::BoxFuture;

use crate::bodies::Activation;
use crate::reach::Failure;
use crate::ways::Ways;

/// Workers that speak Arrow Flight. Cheap to clone: clones share their connections.
#[derive(Clone)]
pub struct Flight {
    ways: Ways,
}

impl Flight {
    /// Reads workers' secrets through this connection, one GET a worker.
    pub fn new(connection: Connection) -> Self {
        Self { ways: Ways::new(connection) }
    }

    async fn health(&self, worker: &Worker) -> Finding {
        // Without a way to the worker nobody can tell how it is: that is no failure of its own.
        let Ok(way) = self.ways.to(worker).await else { return Finding::Unclear };
        match way.act("HealthCheck", b"{}".to_vec()).await {
            Ok(answer) => bodies::finding(&answer),
            Err(failure) => {
                tracing::debug!(worker = %worker.key, %failure, "its health check failed");
                Finding::Failed
            }
        }
    }

    async fn tell(
        &self,
        worker: &Worker,
        lease: &WorkerLease,
        credentials: Option<&Credentials>,
    ) -> Result<(), NotActivated> {
        let Some(tenant) = &worker.status.tenant else {
            return Err(NotActivated::Failed("it is assigned to no tenant".to_owned()));
        };
        let activation = Activation { worker, lease, tenant, credentials };
        let way = self.ways.to(worker).await.map_err(|failure| not_activated(&failure))?;
        way.act("ActivateTenant", activation.body())
            .await
            .map_err(|failure| not_activated(&failure))?;
        Ok(())
    }
}

/// A worker without a way to it, or that nobody answers for, was not told.
fn not_activated(failure: &Failure) -> NotActivated {
    let why = failure.to_string();
    match failure {
        Failure::NoWay(_) | Failure::Refused { code: tonic::Code::Unavailable, .. } => {
            NotActivated::Untold(why)
        }
        Failure::Refused { .. } | Failure::Silent => NotActivated::Failed(why),
    }
}

impl WorkerProtocol for Flight {
    fn probe<'a>(&'a self, worker: &'a Worker) -> BoxFuture<'a, Finding> {
        Box::pin(self.health(worker))
    }

    fn takes_credentials(&self, _: &Worker) -> bool {
        true
    }

    fn activate<'a>(
        &'a self,
        worker: &'a Worker,
        lease: &'a WorkerLease,
        credentials: Option<&'a Credentials>,
    ) -> BoxFuture<'a, Result<(), NotActivated>> {
        Box::pin(self.tell(worker, lease, credentials))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_worker_was_told_and_failed_at_counts_against_it() {
        let refused = |code| not_activated(&Failure::Refused { code, statement: Some(2) });
        assert!(matches!(refused(tonic::Code::Unavailable), NotActivated::Untold(_)));
        let failed = refused(tonic::Code::FailedPrecondition);
        assert!(matches!(&failed, NotActivated::Failed(why) if why.ends_with("in statement 2")));
        let no_way = Failure::NoWay("the API server does not answer".to_owned());
        assert!(matches!(not_activated(&no_way), NotActivated::Untold(_)));
    }
}
