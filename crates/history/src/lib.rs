//! Checks what happened: every version of every object, in the order of the API server, and what the
//! clients say they did. A rule that breaks is named with the object and the versions.
//!
//! A history is a text of JSON lines ([`Line`]), recorded by the simulator or by a watch without
//! gaps of a real cluster. Nothing here knows how it came about, and nothing here shares code with
//! what wrote it but the table of transitions.
//!
//! | room | holds |
//! |---|---|
//! | [`line`](mod@line) | what a history is made of |
//! | [`seen`] | a worker, a pod, a Lease, as far as the rules read them |
//! | [`world`] | everything as it stood before the version that is looked at |
//! | [`rules`] | the rules, a file for each group |
//! | [`rest`] | what is not as it should be when nothing happens any more |
//! | [`check`](mod@check) | runs a history past all rules |

pub mod check;
pub mod line;
pub mod rest;
pub mod rules;
pub mod seen;
#[cfg(test)]
mod story;
pub mod world;

pub use check::{Checker, Violation};
pub use line::{Change, Line, Operation, Outcome, Version};
pub use world::{Calm, Settings};
