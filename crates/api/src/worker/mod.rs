//! The `DuckWorker` kind.

mod spec;
mod status;

pub use spec::{Connection, DuckWorkerSpec, HealthCheck, Protocol};
pub use status::{
    ClaimReference, DuckWorkerStatus, Foreign, PodReference, TransitionEntry, WriteLog,
};

pub use spec::DuckWorker;
