//! The API group `duckworker.dev`: wire types as the API server stores them, and the border at
//! which they are parsed into the values of `duckworker-core`.
//!
//! | room | holds |
//! |---|---|
//! | [`worker`] | the `DuckWorker` kind, its wire types |
//! | [`parse`] | wire → core: refuses what this version cannot understand |
//! | [`wire`] | core → wire: keeps what this version does not know |
//! | [`template`] | a pod template kept as JSON, so that newer fields survive |
//! | [`owned`] | whose a pod or a secret is |
//! | [`labels`] | every label, annotation, variable and finalizer of ours |

pub mod cel;
pub mod crd;
pub mod generated;
pub mod labels;
pub mod owned;
pub mod parse;
pub mod samples;
pub mod template;
pub mod wire;
pub mod worker;

pub use parse::Unreadable;
pub use template::PodTemplate;
pub use worker::{DuckWorker, DuckWorkerSpec, DuckWorkerStatus};

/// The API group.
pub const GROUP: &str = "duckworker.dev";
/// The only version there is.
pub const VERSION: &str = "v1alpha1";
