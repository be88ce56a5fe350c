//! Nodes under workers. They are changed here, so the cluster is shared with no other tests.
//!
//! | file | holds |
//! |---|---|
//! | [`leaving`] | cordoned, drained, deleted |
//! | [`loss`] | silent, given up |

mod leaving;
mod loss;
