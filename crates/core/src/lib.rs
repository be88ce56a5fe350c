//! The rules of a Duckworker, pure: no client, no clock, no async.
//!
//! | room | holds |
//! |---|---|
//! | [`names`] | checked names: owner, epoch, tenant, uid |
//! | [`state`] | the ten states of a worker |
//! | [`worker`] | a worker as the API server stores it, parsed |
//! | [`claim`] | a tenant's claim for a worker, parsed |
//! | [`pool`] | a pool of warm workers, its seats, and what is seen of its workers |
//! | [`tenant`] | what a tenant may have, and the ledger that keeps its cap |
//! | [`table`] | **the** table: one row per transition |
//! | [`version`] | `resourceVersion`s, and which is later |
//! | [`transition`] | what can be asked for, with its arguments |
//! | [`right`] | who asks: lease, snapshot or live instance; and the facts a decision may use |
//! | [`decide`](mod@decide) | `decide(worker, right, transition, facts)`: the new status, or a [`Miss`] |
//! | [`edges`] | the table seen as edges between states, for the API server's own rules |
//! | [`conditions`] | what a status says to people: Ready, Stalled and friends |
//! | [`plan`] | the one next step of a worker's physical life |
//! | [`rendezvous`] | which live instance looks after an object |
//!
//! Everything that decides takes the time as an argument and returns a value; everything that
//! acts lives in other crates.

pub mod claim;
pub mod conditions;
pub mod decide;
pub mod edges;
pub mod miss;
pub mod names;
pub mod plan;
#[doc(hidden)]
pub mod planted;
pub mod pool;
pub mod reason;
pub mod rendezvous;
pub mod right;
pub mod state;
pub mod table;
pub mod tenant;
pub mod transition;
pub mod version;
pub mod worker;

pub use decide::decide;
pub use miss::Miss;
pub use names::{Epoch, Fingerprint, Image, Owner, Tenant, Uid, WriteId};
pub use pool::{Ordinal, Pool, PoolKey, PoolRef};
pub use reason::Reason;
pub use right::{Facts, LeaseFence, OwnerStanding, Right, Room, SnapshotFence};
pub use state::{Terminal, WorkerState};
pub use table::{Rule, TABLE, TransitionName};
pub use transition::{Note, Transition};
pub use version::Version;
pub use worker::{Worker, WorkerKey, WorkerStatus};
