//! The `DuckTenant` kind.

pub mod parse;
mod spec;
mod status;
pub mod wire;

pub use spec::{DuckTenant, DuckTenantSpec, HotIdleOverrides, MAX_WORKERS, SecretReference};
pub use status::{DuckTenantStatus, HeldWorker};
