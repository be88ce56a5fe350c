//! The reference worker: DuckDB behind Arrow Flight SQL. `docs/worker.md` describes the protocol.
//!
//! | room | holds | may know |
//! |---|---|---|
//! | [`rules`] | what is decided, as pure functions | values |
//! | [`engine`] | DuckDB | rules |
//! | [`flight`] | Arrow Flight SQL, sessions | engine, rules |
//! | [`server`], [`args`] | the process | all |

pub mod args;
pub mod engine;
pub mod flight;
pub mod rules;
pub mod server;
