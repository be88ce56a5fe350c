//! What the controller shows of itself.
//!
//! | room | holds |
//! |---|---|
//! | [`admin`] | the HTTP server with `/livez`, `/readyz` and `/metrics` |
//! | [`readiness`] | which parts are ready |
//! | [`metrics`] | every metric there is, and their registry |
//! | [`api_calls`] | calls to the API server, counted by a layer of the client |
//! | [`janitor`] | the metrics of the janitor's steps |
//! | [`loops`] | the metrics of the loops over an instance's own workers |
//! | [`observer`] | the handle that controllers tell all this through |
//! | [`events`] | Kubernetes Events: a fixed list of reasons, for what a person would ask about |
//! | [`logs`] | how logs are written |

pub mod admin;
pub mod api_calls;
pub mod events;
pub mod janitor;
pub mod logs;
pub mod loops;
pub mod metrics;
pub mod observer;
pub mod readiness;

pub use events::EventReason;
pub use janitor::{JanitorMetrics, StepMetrics};
pub use observer::Observer;
