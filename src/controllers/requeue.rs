//! When to look at an object again after an error: by its class, slower each time in a row.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use duckworker_client::{Dice, Error, ErrorClass};
use duckworker_core::Uid;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

/// Counts the failures in a row of each object.
#[derive(Debug, Default)]
pub struct Requeue {
    dice: Dice,
    failures: Mutex<HashMap<Uid, Failures>>,
}

/// How many there were in a row, and when the pause after the last one is over.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    over: Instant,
}

impl Requeue {
    /// With pauses spread by these dice.
    pub fn new(dice: Dice) -> Self {
        Self { dice, ..Self::default() }
    }

    /// An attempt went well: the next failure starts from the beginning.
    pub fn succeeded(&self, uid: &Uid) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// How long to wait after a failure of this class.
    pub fn failed(&self, uid: &Uid, class: ErrorClass) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = failures.get(uid).map_or(0, |failures| failures.count);
        let pause = pause(class, earlier, self.dice.between(0.75, 1.25));
        let (count, over) = (earlier.saturating_add(1), Instant::now() + pause);
        failures.insert(uid.clone(), Failures { count, over });
        pause
    }

    /// Whether the pause after the last failure is not over yet: something else woke us, such as
    /// a write of our own.
    pub fn pauses(&self, uid: &Uid) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(uid).is_some_and(|failures| Instant::now() < failures.over)
    }

    /// The same for an object as a controller of the library hands it over.
    pub fn after(&self, object: &ObjectMeta, error: &Error) -> Action {
        let uid = object.uid.as_ref().and_then(|uid| Uid::new(uid).ok());
        Action::requeue(match uid {
            Some(uid) => self.failed(&uid, error.class()),
            None => pause(error.class(), 0, 1.0),
        })
    }
}

/// The pause after so many earlier failures. `jitter` spreads those that failed together.
fn pause(class: ErrorClass, earlier: u32, jitter: f64) -> Duration {
    let (first, most) = match class {
        ErrorClass::Throttled(asked) => return asked.mul_f64(jitter.max(1.0)),
        ErrorClass::Unavailable => (Duration::from_millis(200), Duration::from_secs(10)),
        // Nothing but a change by a person helps, and most such changes are watched.
        ErrorClass::Forbidden | ErrorClass::Conflict => {
            (Duration::from_secs(2), Duration::from_mins(1))
        }
        ErrorClass::Invalid => (Duration::from_secs(2), Duration::from_mins(5)),
    };
    first.saturating_mul(1 << earlier.min(16)).min(most).mul_f64(jitter)
}

/// Logs the result of a reconcile with its whole chain of causes.
pub fn report<K: Resource<DynamicType = ()>, T, Q: std::error::Error + 'static>(
    result: &Result<(ObjectRef<K>, T), controller::Error<Error, Q>>,
) {
    match result {
        // The object went while its reconcile was queued.
        Ok(_) | Err(controller::Error::ObjectNotFound(_)) => {}
        Err(controller::Error::ReconcilerFailed(error, object)) => {
            let (kind, error) = (K::kind(&()), crate::text::chain(error));
            tracing::warn!(%kind, name = %object.name, namespace = ?object.namespace, error, "reconcile failed; it is tried again");
        }
        Err(error) => report_watch(error),
    }
}

/// Logs that a watch broke.
pub fn report_watch(error: &(impl std::error::Error + 'static)) {
    tracing::warn!(error = crate::text::chain(error), "a watch failed; it is tried again");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let pauses: Vec<_> = (0..8).map(|n| pause(ErrorClass::Unavailable, n, 1.0)).collect();
        assert_eq!(pauses[0], Duration::from_millis(200));
        assert!(pauses.is_sorted());
        assert_eq!(pause(ErrorClass::Unavailable, u32::MAX, 1.0), Duration::from_secs(10));
    }

    #[test]
    fn the_server_is_obeyed() {
        let asked = Duration::from_secs(7);
        assert!(pause(ErrorClass::Throttled(asked), 3, 0.75) >= asked);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_over_when_its_time_is() {
        let (requeue, uid) = (Requeue::default(), Uid::new("u-1").unwrap());
        assert!(!requeue.pauses(&uid));
        let pause = requeue.failed(&uid, ErrorClass::Invalid);
        assert!(requeue.pauses(&uid));
        tokio::time::advance(pause).await;
        assert!(!requeue.pauses(&uid));
    }

    #[test]
    fn a_success_starts_over() {
        let requeue = Requeue::default();
        let uid = Uid::new("u-1").unwrap();
        for _ in 0..9 {
            let _ = requeue.failed(&uid, ErrorClass::Unavailable);
        }
        requeue.succeeded(&uid);
        assert!(requeue.failed(&uid, ErrorClass::Unavailable) < Duration::from_millis(300));
    }
}
