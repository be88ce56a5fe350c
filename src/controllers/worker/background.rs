//! What nobody waits for gives way to what somebody does.
//!
//! A pool refills itself, and workers end, while claims come in. All of that goes through one API server,
//! and each request there shares its processors with all others that are under way. So only a few of the
//! background are at once: enough to keep the server busy, and too few to be felt by a claim.

use duckworker_core::Worker;
use duckworker_core::plan::worker::Step;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::context::Context;

/// Of so many requests that may be under way at once, one may be of the background.
const SHARE: u16 = 8;

/// How many requests of the background there may be at once, of so many in all.
pub const fn share_of(concurrency: u16) -> u16 {
    if concurrency < SHARE { 1 } else { concurrency / SHARE }
}

/// Those that may be under way.
#[derive(Debug)]
pub struct Background(Semaphore);

impl Background {
    /// Of so many requests in all.
    pub fn of(concurrency: u16) -> Self {
        Self(Semaphore::new(share_of(concurrency).into()))
    }
}

/// Waits for a step's turn, if nobody waits for the step. What is returned is held during it.
pub(super) async fn turn<'c>(
    context: &'c Context,
    worker: &Worker,
    step: &Step,
) -> Option<SemaphorePermit<'c>> {
    let is_awaited = match kind(step) {
        Kind::Start => worker
            .pool
            .as_ref()
            .is_none_or(|pool| context.waiting.await_pool(&worker.key.namespace, &pool.name)),
        Kind::End => false,
        Kind::Other => true,
    };
    if is_awaited {
        return None;
    }
    // It is never closed.
    context.background.0.acquire().await.ok()
}

/// What a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The start of a worker.
    Start,
    /// Its end.
    End,
    /// A claim waits for it, or a person, or it asks for nothing.
    Other,
}

const fn kind(step: &Step) -> Kind {
    match step {
        Step::AddFinalizer
        | Step::AdoptNew
        | Step::MakeSecret
        | Step::MakePod
        | Step::Note(_)
        | Step::Ready(_) => Kind::Start,
        Step::Drain(_)
        | Step::Abandon(_)
        | Step::StopPod(_)
        | Step::ForcePod
        | Step::RetireDrained
        | Step::Finish
        | Step::DeleteObject => Kind::End,
        Step::Adopt
        | Step::Probe
        | Step::ClaimDedicated(_)
        | Step::Activate
        | Step::FinishActivation
        | Step::Release
        | Step::Park
        | Step::MarkPod(_)
        | Step::MarkLost(_)
        | Step::RetireLost(_)
        | Step::Wait(_)
        | Step::Rest => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_is_left_to_it_and_never_nothing() {
        assert_eq!([1, 7, 8, 32].map(share_of), [1, 1, 1, 4]);
    }
}
