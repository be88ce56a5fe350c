//! Claims on the real API server: each gets one worker, whoever binds it, and gives it back.
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod binding;
mod calls;
mod endings;
mod losses;
mod queues;
