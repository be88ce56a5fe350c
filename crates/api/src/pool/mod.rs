//! The `DuckWorkerPool` kind.

pub mod budget;
pub mod parse;
mod spec;
mod status;
pub mod wire;

pub use spec::{
    Demand, Disruption, DuckWorkerPool, DuckWorkerPoolSpec, HotIdle, Reuse, Spawn,
    UndeclaredTenants, UpdateStrategy, WorkerTemplate,
};
pub use status::{DuckWorkerPoolStatus, Ordinals, Seat, WorkerCounts};
