//! The `DuckTenant` kind.

mod spec;
mod status;

pub use spec::{DuckTenant, DuckTenantSpec, HotIdleOverrides, MAX_WORKERS, SecretReference};
pub use status::{DuckTenantStatus, HeldWorker};
