//! DuckDB: one instance a worker, one connection a session, one blocking thread a running
//! statement. Nothing here knows Flight.
//!
//! | file | holds |
//! |---|---|
//! | [`failure`] | what can go wrong, without secrets |
//! | [`instance`] | the database, its settings, and whether it still answers |
//! | [`session`] | a connection, what runs on it, and how that is stopped |
//! | [`running`] | a statement that runs: its schema, its batches, its end |
//! | [`work`] | what the blocking thread does |
//! | [`batches`] | small chunks made into batches worth sending |
//! | [`parameters`] | Arrow values bound to a statement's parameters |
//! | [`describe`] | the schema of a statement that has not run |

pub mod batches;
pub mod describe;
pub mod failure;
pub mod instance;
pub mod parameters;
pub mod running;
pub mod session;
mod work;

pub use failure::{Cause, EngineError};
pub use instance::{EngineSettings, Instance};
pub use running::{Rows, StopHandle};
pub use session::Session;
pub use work::{Plan, Statement};
