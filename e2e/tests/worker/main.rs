//! One worker on the real API server, from `kubectl apply` to gone.
//!
//! | file | holds |
//! |---|---|
//! | [`lifecycle`] | its life, without a fault |
//! | [`names`] | what is refused when it is applied |
//! | [`failures`] | its start fails, or it is lost |
//! | [`deletion`] | its end, in every state |
//! | [`conflicts`] | others use its names and marks |
//! | [`frozen`] | its controller stands still, and goes on later |
//! | [`outside`] | calls, logs, metrics, conditions, Events |
//! | [`flow`] | priority of leases and claims |
//! | [`protocol`] | the same for any language |

mod conflicts;
mod deletion;
mod failures;
mod flow;
mod frozen;
mod lifecycle;
mod names;
mod outside;
mod protocol;
