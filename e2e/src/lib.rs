//! An embedded Kubernetes for tests and for the demo, and a harness to write tests on it.
//!
//! A [`Cluster`] is real: etcd, the API server, the controller manager and the scheduler, all from
//! one binary that is built on first use. Only its nodes are simulated, and beside them there may be
//! a [`real`] one. Tests share one cluster, each in a namespace of its own:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use duckworker_e2e::Cluster;
//!
//! Cluster::shared()
//!     .await?
//!     .with_namespace("example", async |namespace| {
//!         namespace.kubectl(&["get", "pods"]).await?.ok()?;
//!         Ok(())
//!     })
//!     .await
//! # }
//! ```

mod audit;
pub mod bench;
mod binary;
mod cache;
pub mod canary;
mod cargo;
pub mod claim;
mod cluster;
mod component;
mod control_group;
mod controller;
pub mod eviction;
mod fault;
pub mod fuzz;
pub mod gitops;
mod golang;
mod identity;
pub mod in_process;
pub mod install;
mod kubectl;
mod kwok;
mod layout;
mod namespace;
pub mod node;
mod options;
pub mod page;
mod parts;
pub mod plane;
pub mod pool;
mod port;
mod progress;
mod ready;
pub mod real;
pub mod recorder;
mod report;
pub mod rights;
pub mod scenario;
mod service_account;
pub mod soak;
mod spawner;
pub mod sql;
mod state;
pub mod sweep;
pub mod tenant;
mod tokens;
mod wait;
pub mod worker;
pub mod worker_build;

pub use audit::{AuditEvent, AuditLog, AuditMark, AuditObject, AuditResponse, AuditUser};
pub use binary::duckcluster;
pub use cluster::Cluster;
pub use component::Component;
pub use controller::{ControllerProcess, controller_binary, example_binary};
pub use fault::SecondApiServer;
pub use identity::Identity;
pub use kubectl::KubectlOutput;
pub use kwok::{SIMULATED_NODE, annotation};
pub use namespace::{TEST_LABEL, TestNamespace};
pub use options::{ClusterOptions, User};
pub use tokens::{TokenFile, TokenKey};
pub use wait::{
    PATIENCE, Watchable, await_gone, await_list, await_object, await_object_within, pod_is_ready,
    pod_phase,
};
