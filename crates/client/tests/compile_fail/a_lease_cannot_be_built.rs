//! A lease comes only out of a won transition.
use duckworker_client::WorkerLease;
use duckworker_core::LeaseFence;

fn by_constructor(fence: LeaseFence) -> WorkerLease {
    WorkerLease::new(fence)
}

fn copied(lease: &WorkerLease) -> WorkerLease {
    lease.clone()
}

fn changed(mut lease: WorkerLease) {
    lease.fence.epoch = lease.epoch().next();
}

fn main() {}
