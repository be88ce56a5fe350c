//! A permit is taken by value: it cannot be used when it was handed on.
use duckworker_api::WorkerPod;
use duckworker_client::children::Grace;
use duckworker_client::{Children, DeletePermit};

async fn twice(children: &Children, permit: DeletePermit, pod: &WorkerPod) {
    let _ = children.delete_pod(permit, pod, Grace::Spec).await;
    let _ = children.clean_up(permit).await;
}

fn main() {}
