//! One watch that tells each claim's client when the claim is Ready.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use duckworker_api::DuckWorkerClaim;
use duckworker_e2e::claim::{phase, source, worker_of};
use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A claim that was seen Ready.
#[derive(Debug, Clone)]
pub struct Ready {
    /// When the event of the watch was there.
    pub at: Instant,
    /// Where its worker came from: Warm, `HotIdle` or Cold.
    pub source: String,
    /// The name of its worker.
    pub worker: String,
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Ready>>>>;

/// The watch, as long as it lives.
pub struct Lookout {
    waiting: Waiting,
    task: JoinHandle<()>,
}

impl Lookout {
    /// Watches the claims of a namespace.
    pub fn watch(client: Client, namespace: &str) -> Self {
        let api: Api<DuckWorkerClaim> = Api::namespaced(client, namespace);
        let waiting = Waiting::default();
        let told = Arc::clone(&waiting);
        let task = tokio::spawn(async move {
            let claims = watcher(api, watcher::Config::default()).default_backoff();
            let mut claims = pin!(claims.applied_objects());
            while let Some(claim) = claims.next().await {
                // A watch that broke begins anew, and who waits has a limit of his own.
                let Ok(claim) = claim else { continue };
                tell(&told, &claim);
            }
        });
        Self { waiting, task }
    }

    /// Is told when a claim of this name is Ready.
    pub fn expect(&self, name: &str) -> oneshot::Receiver<Ready> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(name.to_owned(), sender);
        receiver
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn tell(waiting: &Waiting, claim: &DuckWorkerClaim) {
    if phase(claim) != "Ready" {
        return;
    }
    let at = Instant::now();
    let Ok(worker) = worker_of(claim) else { return };
    if let Some(sender) = lock(waiting).remove(&claim.name_any()) {
        let (source, worker) = (source(claim).to_owned(), worker.to_owned());
        // Whoever has stopped waiting counts the claim as lost.
        let _ = sender.send(Ready { at, source, worker });
    }
}

fn lock(waiting: &Waiting) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Ready>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
