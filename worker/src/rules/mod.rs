//! What the worker decides, as pure functions over values: no engine, no network, no clock.
//!
//! | file | decides |
//! |---|---|
//! | [`activation`] | whose worker it is, and which statements an activation has to run |
//! | [`admission`] | which sessions may begin, which statements may run, and when a drain is over |
//! | [`bodies`] | what the JSON bodies of actions say |
//! | [`failure`] | what an error of the engine means |
//! | [`sql`] | where a statement ends, and whether it answers with rows |

pub mod activation;
pub mod admission;
pub mod bodies;
pub mod failure;
pub mod sql;
