//! What this process has just done and its watch has not shown yet: with this the next look at a
//! worker needs no read to tell a cache that lags from a pod that is gone, and stops no pod twice.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duckworker_core::Uid;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

/// A watch lags for milliseconds. After this long a read is the better witness.
const BELIEVED: Duration = Duration::from_secs(10);

/// By the worker's uid.
#[derive(Debug, Default)]
pub struct JustMade {
    pods: Mutex<HashMap<Uid, (Pod, Instant)>>,
    secrets: Mutex<HashMap<Uid, Instant>>,
    stops: Mutex<HashMap<Uid, Stop>>,
}

/// A pod that was told to stop.
#[derive(Debug)]
struct Stop {
    pod: Option<String>,
    by: Timestamp,
    told: Instant,
}

impl JustMade {
    /// A pod was made for this worker.
    pub fn pod(&self, worker: &Uid, pod: Pod) {
        lock(&self.pods).insert(worker.clone(), (pod, Instant::now()));
    }

    /// A secret was made for this worker.
    pub fn secret(&self, worker: &Uid) {
        lock(&self.secrets).insert(worker.clone(), Instant::now());
    }

    /// This worker's pod was told to stop by then.
    pub fn stopped(&self, worker: &Uid, pod: &Pod, by: Timestamp) {
        self.pod_seen(worker);
        let stop = Stop { pod: pod.metadata.uid.clone(), by, told: Instant::now() };
        lock(&self.stops).insert(worker.clone(), stop);
    }

    /// The pod as it is after what we told it.
    pub fn with_stop(&self, worker: &Uid, mut pod: Pod) -> Pod {
        let stops = lock(&self.stops);
        let stop = stops.get(worker).filter(|stop| stop.told.elapsed() < BELIEVED);
        if let Some(stop) = stop.filter(|stop| stop.pod == pod.metadata.uid) {
            pod.metadata.deletion_timestamp.get_or_insert(Time(stop.by));
        }
        pod
    }

    /// The pod that was made, if it is still to be shown.
    pub fn unseen_pod(&self, worker: &Uid) -> Option<Pod> {
        let pods = lock(&self.pods);
        let (pod, made) = pods.get(worker)?;
        (made.elapsed() < BELIEVED).then(|| pod.clone())
    }

    /// Whether a secret was made that is still to be shown.
    pub fn has_unseen_secret(&self, worker: &Uid) -> bool {
        lock(&self.secrets).get(worker).is_some_and(|made| made.elapsed() < BELIEVED)
    }

    /// The watch has shown the pod.
    pub fn pod_seen(&self, worker: &Uid) {
        lock(&self.pods).remove(worker);
    }

    /// The watch has shown the secret.
    pub fn secret_seen(&self, worker: &Uid) {
        lock(&self.secrets).remove(worker);
    }

    /// The worker is gone.
    pub fn forget(&self, worker: &Uid) {
        self.pod_seen(worker);
        self.secret_seen(worker);
        lock(&self.stops).remove(worker);
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_made_is_believed_until_it_is_seen_or_old() {
        let (made, worker) = (JustMade::default(), Uid::new("u-1").unwrap());
        made.secret(&worker);
        made.pod(&worker, Pod::default());
        assert!(made.has_unseen_secret(&worker) && made.unseen_pod(&worker).is_some());
        made.pod_seen(&worker);
        assert!(made.unseen_pod(&worker).is_none(), "the cache knows better now");
        tokio::time::advance(BELIEVED).await;
        assert!(!made.has_unseen_secret(&worker), "a read is the better witness");
    }
}
