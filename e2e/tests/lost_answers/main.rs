//! What a status write does when its answer is lost, late, doubled or wrong: it is decided, it
//! happens once, and nothing else is begun before.
//!
//! | file | holds |
//! |---|---|
//! | `main.rs` | what the tests share |
//! | [`answers`] | every doubtful answer, one by one |
//! | [`refresh`] | who reads a lease while it is refreshed |
//! | [`races`] | others write while an answer is missing |
//! | [`dropped`] | the caller gives up before the answer |
//! | [`too_large`] | a refusal that looks like doubt and is none |
//! | [`silent_retry`] | etcd stands still: the library's own retry against ours |
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod answers;
mod dropped;
mod races;
mod refresh;
mod silent_retry;
mod too_large;

use std::time::Duration;

use anyhow::{Result, ensure};
use duckworker_client::WorkerSnapshot;
use duckworker_core::worker::RecordedName;
use duckworker_core::{TransitionName, WorkerState};

/// The deadline of a call: short, since here many of them are waited for.
const DEADLINE: Duration = Duration::from_millis(800);

/// An idle worker was claimed by exactly one write: one step of the epoch, one entry, one id.
fn claimed_once(before: &WorkerSnapshot, after: &WorkerSnapshot) -> Result<()> {
    let (old, new) = (&before.worker().status, &after.worker().status);
    ensure!(new.state == WorkerState::Reserved, "it is {}", new.state);
    ensure!(new.epoch() == old.epoch().next(), "epoch {} after {}", new.epoch(), old.epoch());
    ensure!(new.writes.seq == old.writes.seq + 1, "{} writes", new.writes.seq - old.writes.seq);
    ensure!(new.transitions.len() == old.transitions.len() + 1, "{:?}", new.transitions);
    let newest = new.transitions.first().map(|entry| &entry.name);
    ensure!(newest == Some(&RecordedName::Known(TransitionName::ClaimIdle)), "{newest:?}");
    ensure!(new.transitions[1..] == old.transitions[..], "older entries changed");
    Ok(())
}
