//! An API server in memory, for tests of everything that speaks to Kubernetes through kube's
//! client: resourceVersions, conflicts, watches, finalizers, deletion, garbage collection, CRD
//! schemas and CEL rules behave as on the real one, which the conformance test in `e2e` checks.
//!
//! One thread, a paused clock, and one seed for every choice: the same seed gives the same run.
//!
//! ```
//! use duckworker_faults::Faults;
//! use duckworker_sim::{User, simulate};
//! use k8s_openapi::api::core::v1::Pod;
//! use kube::Api;
//!
//! let pods = simulate(7, |cluster| async move {
//!     cluster.start();
//!     let client = cluster.client(User::named("me"), &Faults::none());
//!     Api::<Pod>::default_namespaced(client).list(&Default::default()).await
//! });
//! assert!(pods.unwrap().unwrap().items.is_empty());
//! ```
//!
//! | room | holds |
//! |---|---|
//! | [`cluster`] | [`SimCluster`]: what a test holds in its hand |
//! | [`actors`] | garbage collector, namespace controller, scheduler and kubelets |
//! | [`service`], [`stream`], [`core`](mod@core) | the server as clients reach it: delays, outages, stuck watches |
//! | [`verbs`] | what the server does for each verb |
//! | [`admission`], [`builtin`] | defaults, schemas, CEL rules, immutable fields |
//! | [`watch`] | which versions a watch delivers |
//! | [`store`] | objects, the revision, every version there was |
//! | [`record`] | the history, as the checker reads it |
//! | [`kinds`] | the kinds of objects and how they differ |
//! | [`request`], [`select`], [`view`], [`failure`] | how requests are read and answered |
//! | [`clock`], [`chance`], [`user`] | time, seeds, identities |

pub mod actors;
pub mod admission;
pub mod builtin;
pub mod chance;
pub mod clock;
pub mod cluster;
pub mod core;
pub mod failure;
pub mod kinds;
pub mod meta;
pub mod record;
pub mod request;
pub mod select;
pub mod service;
pub mod store;
pub mod stream;
pub mod user;
pub mod verbs;
pub mod view;
pub mod watch;

pub use chance::Chance;
pub use cluster::{SimCluster, simulate};
pub use core::Latency;
pub use kinds::Kinds;
pub use store::{Change, Version};
pub use user::User;
