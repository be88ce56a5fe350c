//! A miss means that the worker is somebody else's: it must be looked at.
#![deny(unused_must_use)]
use duckworker_client::{Error, Origin, WorkerLease, WorkerLifecycle};
use duckworker_core::Reason;

async fn moved(lifecycle: &WorkerLifecycle, lease: &WorkerLease) -> Result<(), Error> {
    lifecycle.release(lease, Origin::Library).await?;
    Ok(())
}

async fn permit(lifecycle: &WorkerLifecycle, lease: &WorkerLease) -> Result<(), Error> {
    let outcome = lifecycle.drain(lease, Reason::Deleted, Origin::Library).await?;
    outcome.transitioned().unwrap();
    Ok(())
}

fn main() {}
