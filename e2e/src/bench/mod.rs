//! What the benches share. Each measures ours against the same calls made raw, in the same run, by
//! turns, on the same cluster and with the same fences; results are ratios, never times.
//!
//! | file | holds |
//! |---|---|
//! | [`ground`] | a cluster with the product on it, and the controller's release build |
//! | [`raw`] | the writes of a worker's life, made by a plain client |
//! | [`fleet`] | applying many workers, and seeing when each arrives |
//! | [`idle`] | idle workers to claim, and a control plane that claims |
//! | [`calls`] | who asked the API server for what |
//! | [`figures`] | percentiles, medians and tables |

pub mod calls;
pub mod figures;
pub mod fleet;
pub mod ground;
pub mod idle;
pub mod raw;

/// How many requests are on their way at once: what the controller does by default.
pub const CONCURRENCY: usize = 32;
