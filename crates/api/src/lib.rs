//! The API group `duckworker.dev`: wire types as the API server stores them, and the border at
//! which they are parsed into the values of `duckworker-core`.
//!
//! | room | holds |
//! |---|---|
//! | [`worker`] | the `DuckWorker` kind, its wire types |
//! | [`tenant`] | the `DuckTenant` kind, its wire types |
//! | [`pool`] | the `DuckWorkerPool` kind: wire types, and their border |
//! | [`claim`] | the `DuckWorkerClaim` kind: wire types, and their border |
//! | [`parse`] | wire → core: refuses what this version cannot understand |
//! | [`wire`] | core → wire: keeps what this version does not know |
//! | [`cel`] | the rules that the API server enforces on an object, a worker's made from the table |
//! | [`crd`] | the CRDs as they are written to `crds/` |
//! | [`policies`] | what the API server enforces about who writes |
//! | [`samples`] | objects to start from |
//! | [`generated`] | the files that are made of all that |
//! | [`template`] | a pod template kept as JSON, so that newer fields survive |
//! | [`decode`] | how an object is read for a cache |
//! | [`pod`] | a pod as the plans read it, and no more of it |
//! | [`owned`] | whose a pod or a secret is |
//! | [`marks`] | whether a pod says that it is busy or idle |
//! | [`labels`] | every label, annotation, variable and finalizer of ours |

pub mod cel;
pub mod claim;
pub mod crd;
pub mod decode;
pub mod generated;
pub mod labels;
pub mod marks;
pub mod owned;
pub mod parse;
pub mod pod;
pub mod policies;
pub mod pool;
pub mod samples;
mod states_doc;
pub mod template;
pub mod tenant;
pub mod wire;
pub mod worker;

pub use claim::{DuckWorkerClaim, DuckWorkerClaimSpec, DuckWorkerClaimStatus};
pub use parse::Unreadable;
pub use pod::WorkerPod;
pub use pool::{DuckWorkerPool, DuckWorkerPoolSpec, DuckWorkerPoolStatus};
pub use template::PodTemplate;
pub use tenant::{DuckTenant, DuckTenantSpec, DuckTenantStatus};
pub use worker::{DuckWorker, DuckWorkerSpec, DuckWorkerStatus};

/// The API group.
pub const GROUP: &str = "duckworker.dev";
/// The only version there is.
pub const VERSION: &str = "v1alpha1";
