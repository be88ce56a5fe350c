//! Pools on the real API server: they fill, shrink, change their template, back off, and never
//! exceed their maximum.
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod bad_input;
mod changes;
mod demand;
mod disruption;
mod failures;
mod maximum;
mod network;
mod races;
mod reach;
mod sizes;
