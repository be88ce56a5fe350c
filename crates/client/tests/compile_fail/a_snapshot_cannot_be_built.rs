//! A snapshot comes only out of a read: neither from a parsed object nor from a filled cache.
use std::sync::Arc;

use duckworker_api::DuckWorker;
use duckworker_client::store::Stored;
use duckworker_client::{WorkerCache, WorkerSnapshot};
use kube::runtime::reflector::Store;

fn by_constructor(object: &DuckWorker) -> WorkerSnapshot {
    WorkerSnapshot::new(Arc::new(Stored::parse(object).unwrap()))
}

fn from_a_hand_filled_cache(store: Store<DuckWorker>) -> WorkerCache {
    WorkerCache::new(store)
}

fn changed(mut snapshot: WorkerSnapshot) {
    snapshot.worker().status.state = duckworker_core::WorkerState::Idle;
}

fn main() {}
