//! The only door to writes of a Duckworker's status.
//!
//! A control plane connects ([`Connection`]) and registers ([`ControlPlane`]): then it claims,
//! holds, releases and drains workers. Underneath, an [`Instance`] reads workers as
//! [`WorkerSnapshot`]s and asks the [`WorkerLifecycle`] for transitions. A won claim hands out a
//! [`WorkerLease`]; a won end hands out a [`DeletePermit`]. Neither can be made in another way:
//! that is what keeps a stale process from touching a worker that is no longer its own.
//!
//! | room | holds |
//! |---|---|
//! | [`connection`] | the kube client as we need it: no silent retries, the server's clock |
//! | [`answer`] | what an answer proves: applied, not applied, unknown |
//! | [`dice`] | where all chance comes from |
//! | [`store`] | consistent reads, and the one PUT |
//! | [`attempt`] | one write until it is decided, whatever happens to its answer |
//! | [`book`] | what this process knows of its own workers |
//! | [`lifecycle`] | every transition of the table, as a method |
//! | [`token`] | leases, snapshots, permits: what cannot be forged |
//! | [`protocol`], [`credentials`] | how workers are talked to, and what they are told for their tenant |
//! | [`tenants`] | tenants: the ledger that keeps their caps, and credentials out of their activation secrets |
//! | [`activation`] | a worker is told its tenant's credentials |
//! | [`refresh`], [`health`] | the two loops of an instance over its own workers |
//! | [`control_plane`] | the face for programs that hand sessions to workers |
//! | [`drain`] | draining a worker to its end |
//! | [`children`] | pods and secrets: created for a lease, deleted with a permit |
//! | [`instance`] | who we are: identity, Lease, renewal, the standing of others |
//! | [`claims`] | claims: their status, and their connection secrets |
//! | [`pools`] | pools: their status, their workers, and the seats that let those start |
//! | [`status`] | the one write of the status of a pool or a claim |
//! | [`cache`] | watches that one bad object cannot blind |

pub mod activation;
pub mod answer;
pub mod attempt;
pub mod book;
pub mod cache;
pub mod children;
pub mod claims;
pub mod clock;
pub mod connection;
pub mod control_plane;
pub mod credentials;
pub mod dice;
pub mod drain;
pub mod error;
pub mod health;
pub mod instance;
pub mod lifecycle;
pub mod outcome;
pub mod pools;
pub mod protocol;
pub mod refresh;
pub mod status;
pub mod store;
mod sync;
pub mod tenants;
pub mod token;

pub use activation::{ActivationError, Activator};
pub use cache::{ClaimCache, PoolCache, TenantCache, WorkerCache};
pub use children::Children;
pub use claims::{ClaimSnapshot, ClaimStore};
pub use clock::ServerClock;
pub use connection::Connection;
pub use control_plane::{
    ClaimError, ControlPlane, ControlPlaneSettings, Gone, HeldWorker, Idlers, Session,
    ShutdownReport,
};
pub use credentials::{CredentialSource, Credentials, NoCredentials};
pub use dice::Dice;
pub use drain::{Drained, Drainer};
pub use error::{Error, ErrorClass};
pub use health::{HealthFollower, HealthLoop, HealthSettings};
pub use instance::{Instance, InstanceSettings, Role};
pub use lifecycle::WorkerLifecycle;
pub use outcome::{Origin, Outcome, TransitionObserver, TransitionSeen};
pub use pools::{PoolSnapshot, PoolStore, Seat};
pub use protocol::{NotActivated, Silent, WorkerProtocol};
pub use refresh::{RefreshSettings, Refresher};
pub use store::WorkerStore;
pub use tenants::{TenantSecrets, TenantSnapshot, TenantStore};
pub use token::{DeletePermit, PodGone, Swept, WorkerLease, WorkerSnapshot};
