//! The `DuckWorkerPool` kind.

pub mod parse;
mod spec;
mod status;
pub mod wire;

pub use spec::{
    Disruption, DuckWorkerPool, DuckWorkerPoolSpec, HotIdle, Reuse, Spawn, UndeclaredTenants,
    UpdateStrategy, WorkerTemplate,
};
pub use status::{DuckWorkerPoolStatus, Ordinals, Seat, WorkerCounts};
