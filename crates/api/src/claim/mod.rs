//! The `DuckWorkerClaim` kind.

pub mod parse;
mod spec;
mod status;
pub mod wire;

pub use spec::{DuckWorkerClaim, DuckWorkerClaimSpec, OnWorkerLoss};
pub use status::{BoundWorker, DuckWorkerClaimStatus};
