//! The functions that delete take a permit, and a lease or a snapshot is none.
use duckworker_api::WorkerPod;
use duckworker_client::children::Grace;
use duckworker_client::{Children, WorkerLease, WorkerSnapshot};

async fn with_a_lease(children: &Children, lease: WorkerLease, pod: &WorkerPod) {
    let _ = children.delete_pod(lease, pod, Grace::Spec).await;
}

async fn with_a_snapshot(children: &Children, seen: WorkerSnapshot) {
    let _ = children.clean_up(seen).await;
}

async fn secrets_before_the_pod_is_gone(children: &Children, seen: &WorkerSnapshot) {
    if let Some(permit) = seen.condemned() {
        let _ = children.sweep_secrets(permit).await;
    }
}

fn main() {}
