//! What a worker needs around it, as pure values: its pod, its secret, its certificate; and how
//! those are read back. Nothing here talks to a cluster.
//!
//! | room | holds |
//! |---|---|
//! | [`identity`] | names, labels and owner references of a worker's objects |
//! | [`pod`] | template → pod |
//! | [`pod_access`] | the part of the pod by which a worker is reached: port, token, certificate |
//! | [`pod_security`] | the part that the restricted Pod Security profile asks for |
//! | [`pod_view`] | a stored pod → what plans read of it |
//! | [`refusal`] | why the API server refused to create a pod |
//! | [`secret`] | credentials → secret, and back |
//! | [`tls`] | fresh credentials: a token and a self-signed certificate |

pub mod identity;
mod json;
pub mod pod;
mod pod_access;
#[cfg(test)]
mod pod_fixtures;
mod pod_security;
pub mod pod_view;
pub mod refusal;
pub mod secret;
pub mod tls;

use duckworker_api::Unreadable;

/// Why a worker's pod cannot be built. The API server refuses such templates when they are
/// applied; what was stored before the rule existed ends here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The worker was never stored, or this version cannot read it.
    #[error(transparent)]
    Worker(#[from] Unreadable),
    /// A part of the template is not what a pod template has there.
    #[error("spec.template: {0} is not of the type that a pod template has there")]
    Malformed(&'static str),
    /// The container that runs DuckDB is missing.
    #[error("spec.template has no container named \"duckdb\"; name the one that runs DuckDB so")]
    NoContainer,
    /// The template uses a name that belongs to us.
    #[error("spec.template: the {what} {name:?} is set by Duckworker; remove it from the template")]
    Reserved {
        /// What kind of thing bears the name.
        what: &'static str,
        /// The name.
        name: String,
    },
}
