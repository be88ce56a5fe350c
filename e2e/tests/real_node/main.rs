//! Pods that a kubelet really runs. Without root these tests say that they did not run; see
//! [`duckworker_e2e::real::Ran`].

mod faults;
mod leftovers;
mod network;
mod pods;
mod storage;
mod workers;
