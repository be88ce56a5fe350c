//! What can go wrong between a client and the API server, on purpose: a tower layer for kube's
//! client that, at chosen calls, stops the process, loses the request or the answer, holds a
//! request back and lets it through later, sends it twice, refuses it, or never answers.
//!
//! It stands nearest to the transport and works alike on the real client stack and on the
//! simulator. For test builds only.
//!
//! ```
//! # async fn example(config: kube::Config) -> kube::Result<()> {
//! use duckworker_faults::{Fault, Faults};
//!
//! // The third write is applied, but its answer is lost.
//! let faults = Faults::at(3, Fault::LoseAnswer).counting(|call| call.is_write());
//! let client = kube::client::ClientBuilder::try_from(config)?.with_layer(&faults.layer()).build();
//! // … use the client; then:
//! let calls = faults.records();
//! # drop((client, calls));
//! # Ok(())
//! # }
//! ```
//!
//! kube's own retries, if they are wanted, go outside of it:
//! `.with_layer(&faults.layer()).with_layer(&RetryLayer::new(policy))`.
//!
//! | room | holds |
//! |---|---|
//! | [`call`] | one API call: verb, resource, subresource, name |
//! | [`fault`] | the faults |
//! | [`choose`] | who chooses them: a script, a seed, a function |
//! | [`handle`] | [`Faults`]: what a test holds in its hand |
//! | [`service`] | the layer and the service: carries a fault out |
//! | [`body`] | answers: refusals, broken and mute streams |

pub mod body;
pub mod call;
pub mod choose;
pub mod fault;
pub mod handle;
pub mod service;

pub use call::{Call, Verb};
pub use choose::Choose;
pub use fault::{Fault, Meanwhile, Refusal, Which};
pub use handle::{Faults, Record};
pub use service::{FaultLayer, FaultService};
