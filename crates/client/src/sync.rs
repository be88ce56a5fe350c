//! The locks that threads share. `crates/interleavings` compiles some files of this crate with other
//! ones in their place, which a scheduler of its own steps through.

pub(crate) use std::sync::{Mutex, PoisonError};
