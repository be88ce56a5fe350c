//! The controllers: what is watched, and who is asked what to do about it.

pub mod claim;
pub mod links;
pub mod nodes;
pub mod pool;
pub mod requeue;
pub mod secrets;
pub mod streams;
pub mod tenant;
pub mod watches;
pub mod worker;
