//! Pods and secrets that outlived their worker: a late create of a process that was paused, the
//! leftovers of an orphaning delete, whatever a clean-up could not reach.

use jiff::Timestamp;

use super::Limits;
use crate::decide::elapsed;
use crate::planted::{Bug, planted};
use crate::state::WorkerState;

/// What is known of the worker that a pod or a secret was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeFor {
    /// One in this state.
    Worker(WorkerState),
    /// One that is not there (any more), or not yet to be seen.
    Missing,
    /// One that this version cannot read, or something that is none of ours.
    Unknown,
}

/// A pod or a secret with our label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// For whom it was made.
    pub made_for: MadeFor,
    /// When it was created.
    pub created: Timestamp,
    /// It was told to go.
    pub leaving: bool,
}

/// Nobody will ever use it, and whoever made it had the time to say for whom.
///
/// Young ones are spared, since a cache may show a pod before its worker. So are those of a
/// worker that starts, whoever starts it, and of one that drains, which its owner looks after.
pub fn is_stranded(child: &Child, now: Timestamp, limits: &Limits) -> bool {
    let useless = match child.made_for {
        MadeFor::Worker(_) if planted(Bug::PeersSecretSwept) || planted(Bug::PeersPodSwept) => true,
        MadeFor::Worker(state) => state.is_terminal(),
        MadeFor::Missing => true,
        MadeFor::Unknown => false,
    };
    useless
        && !planted(Bug::StraysStay)
        && !child.leaving
        && elapsed(child.created, now) >= limits.stranded_grace
}
