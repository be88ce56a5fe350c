//! What somebody made up does not become a snapshot by the way that caches take.
use std::sync::Arc;

use duckworker_api::DuckWorker;
use duckworker_client::WorkerSnapshot;
use duckworker_client::cache::{Cached, Seal};

fn forged(made_up: DuckWorker) -> Option<WorkerSnapshot> {
    DuckWorker::snapshot(Arc::new(made_up), Seal(()))
}

fn main() {}
