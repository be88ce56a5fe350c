//! Steps through the orders in which threads meet in the memory that they share.
//!
//! The files under test are those of the client crate and of the controller, not copies: they are
//! compiled here a second time, with the locks, channels and tasks of [`shuttle`] in the place of
//! tokio's. Shuttle runs all tasks in one thread and decides at each lock, channel and await who goes
//! on; a schedule that fails is printed and can be replayed. What those files ask of the rest of
//! their crates is played by [`stand_in`]: an API server in memory whose answers get lost, come late,
//! or are refusals.
//!
//! | structure | files |
//! |---|---|
//! | the book of slots, and the one path of all transitions over it | `client/src/{book,lifecycle,attempt}.rs` |
//! | a worker in hand | `client/src/control_plane/holding.rs` |
//! | the janitor's leadership | `src/janitor/leadership.rs` |

#[allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what does not hold is a panic: shuttle's way"
)]
pub mod checks;
mod stand_in;

#[allow(dead_code, missing_docs, unused_imports, reason = "only a part of it is used here")]
#[path = "../../client/src"]
mod client {
    pub mod answer;
    pub mod attempt;
    pub mod book;
    pub mod control_plane {
        pub mod holding;
    }
    pub mod error;
    pub mod lifecycle;
    pub mod outcome;
    pub mod token;
}

#[allow(dead_code, missing_docs, reason = "only a part of it is used here")]
#[path = "../../../src/janitor"]
mod janitor {
    pub mod leadership;
}

// Under these names the files look for what is beside them at home.
pub(crate) use client::{answer, attempt, book, error, lifecycle, outcome, token};
pub(crate) use stand_in::{children, dice, instance, pools, store, sync, tenants};
