//! The Duckworker controller.
