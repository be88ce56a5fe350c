//! Applying many workers, and seeing when each arrives.

use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{pod_is_ready, worker};

/// How many connections create workers at once, as a few users or pipelines do.
const APPLIERS: usize = 8;
/// A bench in which a worker has not arrived after this long has failed.
const PATIENCE: Duration = Duration::from_mins(3);

/// The time of something for each worker, by name.
pub type Times = HashMap<String, Instant>;

/// Names of a fleet's workers.
pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("w{number:05}")).collect()
}

/// Creates workers, and hands each on when the API server has stored it. When each was asked for.
///
/// # Errors
/// When the API server refuses one.
pub async fn apply(
    client: &Client,
    namespace: &str,
    names: &[String],
    mut each: impl FnMut(DuckWorker),
) -> Result<Times> {
    let api: Api<DuckWorker> = Api::namespaced(client.clone(), namespace);
    let creations = names.iter().map(|name| {
        let api = api.clone();
        async move {
            let asked = Instant::now();
            let object = serde_json::from_value(worker::plain(name))?;
            let created = api.create(&PostParams::default(), &object).await?;
            anyhow::Ok((created, asked))
        }
    });
    let mut created = pin!(stream::iter(creations).buffer_unordered(APPLIERS));
    let mut times = Times::new();
    while let Some((worker, asked)) = created.try_next().await? {
        times.insert(worker.name_any(), asked);
        each(worker);
    }
    Ok(times)
}

/// Notes when workers are first seen to fulfil a condition.
pub struct Arrivals(JoinHandle<Result<Times>>);

impl Arrivals {
    /// Watches a namespace until so many have arrived.
    pub fn watch(
        client: &Client,
        namespace: &str,
        count: usize,
        has_arrived: impl Fn(&DuckWorker) -> bool + Send + 'static,
    ) -> Self {
        let api: Api<DuckWorker> = Api::namespaced(client.clone(), namespace);
        Self(tokio::spawn(async move {
            let workers = watcher(api, watcher::Config::default()).default_backoff();
            let mut workers = pin!(workers.applied_objects());
            let mut times = Times::with_capacity(count);
            while times.len() < count {
                match workers.next().await.context("the watch ended")? {
                    Ok(worker) if has_arrived(&worker) => {
                        times.entry(worker.name_any()).or_insert_with(Instant::now);
                    }
                    // A watch that broke begins anew; who waits for us has a limit of its own.
                    Ok(_) | Err(_) => {}
                }
            }
            Ok(times)
        }))
    }

    /// When each arrived, once all have.
    ///
    /// # Errors
    /// When some do not.
    pub async fn all(self) -> Result<Times> {
        let times = tokio::time::timeout(PATIENCE, self.0).await;
        times.context("some workers do not arrive")??
    }
}

/// Watches pods until all have been seen ready; each is handed to whoever waits for it.
pub fn ready_pods(
    client: &Client,
    namespace: &str,
    names: &[String],
) -> HashMap<String, oneshot::Receiver<Pod>> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let (mut senders, mut receivers) = (HashMap::new(), HashMap::new());
    for name in names {
        let (sender, receiver) = oneshot::channel();
        senders.insert(name.clone(), sender);
        receivers.insert(name.clone(), receiver);
    }
    tokio::spawn(async move {
        let pods = watcher(api, watcher::Config::default()).default_backoff();
        let mut pods = pin!(pods.applied_objects());
        while !senders.is_empty() {
            match pods.next().await {
                Some(Ok(pod)) if pod_is_ready(&pod) => {
                    if let Some(waiting) = senders.remove(&pod.name_any()) {
                        // Whoever does not wait any more has failed and says so.
                        let _ = waiting.send(pod);
                    }
                }
                Some(_) => {}
                None => break,
            }
        }
    });
    receivers
}

/// From the first of one to the last of the other.
pub fn span(from: &Times, until: &Times) -> Duration {
    match (from.values().min(), until.values().max()) {
        (Some(from), Some(until)) => until.duration_since(*from),
        _ => Duration::ZERO,
    }
}

/// How long each took.
pub fn latencies(from: &Times, until: &Times) -> Vec<Duration> {
    let took = |(name, at): (&String, &Instant)| Some(at.duration_since(*from.get(name)?));
    until.iter().filter_map(took).collect()
}
