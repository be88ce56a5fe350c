//! That a pod is gone, that secrets are swept, that a worker is condemned: proofs, not opinions.
use duckworker_client::{DeletePermit, PodGone, Swept};
use duckworker_core::{Worker, WorkerKey};

fn permit_by_constructor(worker: &Worker) -> Option<DeletePermit> {
    DeletePermit::of(worker)
}

fn permit_of_an_absent_one(key: WorkerKey) -> DeletePermit {
    DeletePermit::of_absent(key)
}

fn gone(permit: DeletePermit) -> PodGone {
    PodGone::new(permit)
}

fn swept(gone: PodGone) -> Swept {
    Swept::new(gone)
}

fn main() {}
