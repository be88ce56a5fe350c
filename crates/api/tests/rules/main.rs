//! The rules in the CRD against the table and against `decide`, evaluated here as the API server
//! does it.
#![allow(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod cells;
mod decided;
mod judge;
