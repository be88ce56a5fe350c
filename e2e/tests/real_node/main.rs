//! Pods that a kubelet really runs. Without root these tests say that they did not run; see
//! [`duckworker_e2e::real::Ran`].

mod broken;
mod faults;
mod leftovers;
mod network;
mod outlived;
mod pods;
mod storage;
mod workers;
