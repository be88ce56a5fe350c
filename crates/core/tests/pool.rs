//! The plan of a pool: fills, shrinks, rolls out, backs off; and never exceeds its maximum.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "pool/budgets.rs"]
mod budgets;
mod common;
#[path = "pool/demands.rs"]
mod demands;
#[path = "pool/ground.rs"]
mod ground;
#[path = "pool/leaders.rs"]
mod leaders;
#[path = "pool/pins.rs"]
mod pins;
#[path = "pool/steps.rs"]
mod steps;
