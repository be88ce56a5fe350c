//! The worker as a process, spoken to over TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod access;
mod activation;
mod catalog;
mod ending;
mod pressure;
mod queries;
mod sessions;
mod support;
mod types;
