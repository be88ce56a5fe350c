//! The controllers: what is watched, and who is asked what to do about it.

pub mod nodes;
pub mod requeue;
pub mod watches;
pub mod worker;
