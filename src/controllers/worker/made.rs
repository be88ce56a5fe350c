//! What this process has just done and its watch has not shown yet: with this the next look at a
//! worker needs no read to tell a cache that lags from a pod that is gone, and stops no pod twice.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duckworker_api::{WorkerPod, marks};
use duckworker_client::store::version_of;
use duckworker_core::plan::observed::Mark;
use duckworker_core::{Uid, Version};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

/// A watch lags for milliseconds. After this long a read is the better witness.
const BELIEVED: Duration = Duration::from_secs(10);

/// By the worker's uid.
#[derive(Debug, Default)]
pub struct JustMade {
    pods: Mutex<HashMap<Uid, (WorkerPod, Instant)>>,
    secrets: Mutex<HashMap<Uid, Instant>>,
    stops: Mutex<HashMap<Uid, Stop>>,
    marks: Mutex<HashMap<Uid, Marked>>,
}

/// A pod that was marked.
#[derive(Debug)]
struct Marked {
    pod: Option<String>,
    /// The version of the pod that bears the mark; none if the mark was refused.
    version: Option<Version>,
    mark: Mark,
    told: Instant,
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
    pub fn pod(&self, worker: &Uid, pod: WorkerPod) {
        lock(&self.pods).insert(worker.clone(), (pod, Instant::now()));
    }

    /// A secret was made for this worker.
    pub fn secret(&self, worker: &Uid) {
        lock(&self.secrets).insert(worker.clone(), Instant::now());
    }

    /// This worker's pod was told to stop by then.
    pub fn stopped(&self, worker: &Uid, pod: &WorkerPod, by: Timestamp) {
        self.pod_seen(worker);
        let stop = Stop { pod: pod.metadata.uid.clone(), by, told: Instant::now() };
        lock(&self.stops).insert(worker.clone(), stop);
    }

    /// This worker's pod bears this mark: as the server answered, or as far as anyone can do about it.
    pub fn marked(&self, worker: &Uid, pod: &WorkerPod, version: Option<Version>, mark: Mark) {
        let pod = pod.metadata.uid.clone();
        lock(&self.marks)
            .insert(worker.clone(), Marked { pod, version, mark, told: Instant::now() });
    }

    /// The pod as it is after what we told it.
    pub fn as_told(&self, worker: &Uid, mut pod: WorkerPod) -> WorkerPod {
        self.put_mark_on(worker, &mut pod);
        let stops = lock(&self.stops);
        let stop = stops.get(worker).filter(|stop| stop.told.elapsed() < BELIEVED);
        if let Some(stop) = stop.filter(|stop| stop.pod == pod.metadata.uid) {
            pod.metadata.deletion_timestamp.get_or_insert(Time(stop.by));
        }
        pod
    }

    fn put_mark_on(&self, worker: &Uid, pod: &mut WorkerPod) {
        let mut marks = lock(&self.marks);
        let Some(marked) = marks.get(worker) else { return };
        let shown = version_of(&pod.metadata);
        let outrun = marked.version.as_ref().zip(shown).is_some_and(|(m, s)| *m <= s);
        if outrun || marked.told.elapsed() >= BELIEVED || marked.pod != pod.metadata.uid {
            marks.remove(worker);
        } else {
            marks::put_on(&mut pod.metadata, marked.mark);
        }
    }

    /// The pod that was made, if it is still to be shown.
    pub fn unseen_pod(&self, worker: &Uid) -> Option<WorkerPod> {
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
        lock(&self.marks).remove(worker);
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectMeta;

    use super::*;

    fn pod(version: &str) -> WorkerPod {
        let resource_version = Some(version.to_owned());
        WorkerPod {
            metadata: ObjectMeta { resource_version, ..ObjectMeta::default() },
            ..WorkerPod::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mark_is_believed_until_the_watch_has_caught_up() {
        let (made, worker) = (JustMade::default(), Uid::new("u-1").unwrap());
        let shown = |version: &str| marks::read(&made.as_told(&worker, pod(version)).metadata);
        let told = pod("100");
        made.marked(&worker, &told, version_of(&told.metadata), Mark::Busy);
        assert_eq!(shown("99"), Some(Mark::Busy), "the watch lags");
        assert_eq!(shown("100"), None, "what it shows is what there is");
        made.marked(&worker, &told, None, Mark::Busy);
        assert_eq!(shown("200"), Some(Mark::Busy), "refused: it is not tried at every look");
        tokio::time::advance(BELIEVED).await;
        assert_eq!(shown("200"), None, "it is tried again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_made_is_believed_until_it_is_seen_or_old() {
        let (made, worker) = (JustMade::default(), Uid::new("u-1").unwrap());
        made.secret(&worker);
        made.pod(&worker, WorkerPod::default());
        assert!(made.has_unseen_secret(&worker) && made.unseen_pod(&worker).is_some());
        made.pod_seen(&worker);
        assert!(made.unseen_pod(&worker).is_none(), "the cache knows better now");
        tokio::time::advance(BELIEVED).await;
        assert!(!made.has_unseen_secret(&worker), "a read is the better witness");
    }
}
