//! The plan of a pool: fills, shrinks, rolls out, backs off; and never exceeds its maximum.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "pool/ground.rs"]
mod ground;
#[path = "pool/leaders.rs"]
mod leaders;
#[path = "pool/steps.rs"]
mod steps;
