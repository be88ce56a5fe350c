//! The janitor's judgement: which of all the things that stand about should not any more.
//!
//! Each question looks at one thing and knows nothing of the others, so the order in which they
//! are asked changes nothing, and two janitors that ask at once give the same answers. What
//! follows from an answer is fenced where it is carried out: an answer given on what was seen a
//! moment too early costs a miss, and nothing else.
//!
//! | file | asks about |
//! |---|---|
//! | [`workers`] | orphans, and those that stand too long in a state that should pass |
//! | [`parked`] | parked workers that wait for too long, or are too many |
//! | [`strays`] | pods and secrets whose worker is finished or gone |
//! | [`instances`] | those that drain for too long, and Leases that nobody needs |
//! | [`sightings`] | since when: for what bears no stamp that can be trusted |
//!
//! Finished workers past their time to live are no business of the janitor's: their own plan
//! ([`super::worker`]) deletes them, and it knows the moment.

pub mod instances;
pub mod parked;
pub mod sightings;
pub mod strays;
pub mod workers;

use std::time::Duration;

/// How long each thing may stand about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long workers of a dead owner wait for another one.
    pub orphan_grace: Duration,
    /// How old a pod or a secret without a live worker gets.
    pub stranded_grace: Duration,
    /// The least time that a worker has for its start.
    pub stuck_spawning: Duration,
    /// The least time that a worker has from Reserved to Hot, in each of the two states.
    pub stuck_activating: Duration,
    /// What a worker gets beyond its own time-out.
    pub stuck_margin: Duration,
    /// How long an instance or a worker may drain, whatever else it is told.
    pub draining_limit: Duration,
    /// How long the Lease of a dead instance stays readable.
    pub instance_retention: Duration,
}
