//! A permit is taken by value: it cannot be used when it was handed on.
use duckworker_client::children::Grace;
use duckworker_client::{Children, DeletePermit};
use k8s_openapi::api::core::v1::Pod;

async fn twice(children: &Children, permit: DeletePermit, pod: &Pod) {
    let _ = children.delete_pod(permit, pod, Grace::Spec).await;
    let _ = children.clean_up(permit).await;
}

fn main() {}
