//! None of them can be put together from its parts.
use duckworker_client::{DeletePermit, PodGone, Seat, Swept, WorkerCache, WorkerLease, WorkerSnapshot};
use duckworker_core::{LeaseFence, SnapshotFence, Uid, WorkerKey};
use kube::runtime::reflector::Store;

fn lease(fence: LeaseFence) -> WorkerLease {
    WorkerLease { fence }
}

fn snapshot(seen: SnapshotFence, other: WorkerSnapshot) -> WorkerSnapshot {
    WorkerSnapshot { seen, ..other }
}

fn cache(store: Store<duckworker_api::DuckWorker>, other: WorkerCache) -> WorkerCache {
    WorkerCache { store, ..other }
}

fn permit(key: WorkerKey) -> DeletePermit {
    DeletePermit { key, pod: None }
}

fn gone(key: WorkerKey) -> PodGone {
    PodGone { key }
}

fn swept(key: WorkerKey) -> Swept {
    Swept { key }
}

fn seat(worker: Uid) -> Seat {
    Seat { worker }
}

fn main() {}
