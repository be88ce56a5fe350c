//! The first question to a worker whose pod is ready: is its process? A pod without a readiness probe is
//! ready before its process serves, so the question is put again soon, and then more and more rarely.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duckworker_core::Uid;
use duckworker_core::plan::health::Finding;
use duckworker_core::plan::worker::Health;

use super::act::{Progress, RECHECK};
use super::context::Context;
use super::sight::Sight;

/// From the first question to the second. Each pause is twice the one before, up to [`RECHECK`].
const SOON: Duration = Duration::from_millis(25);

/// How often each worker was asked in vain.
#[derive(Debug, Default)]
pub struct AskedInVain(Mutex<HashMap<Uid, u32>>);

impl AskedInVain {
    /// Once more. Returns how long to wait before the next time.
    fn once_more(&self, worker: &Uid) -> Duration {
        let mut asked = self.lock();
        let times = asked.entry(worker.clone()).or_default();
        *times = times.saturating_add(1);
        SOON.saturating_mul(1 << (*times - 1).min(16)).min(RECHECK)
    }

    /// It is well, or gone.
    pub fn forget(&self, worker: &Uid) {
        self.lock().remove(worker);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uid, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks it.
pub(super) async fn ask(context: &Context, sight: &mut Sight) -> Progress {
    let worker = sight.addressed();
    let answer = context.activator.protocol().probe(&worker);
    let finding = tokio::time::timeout(worker.spec.health.timeout, answer).await;
    if !matches!(finding, Ok(Finding::Healthy)) {
        return Progress::Wait(context.asked_in_vain.once_more(&worker.key.uid));
    }
    context.asked_in_vain.forget(&worker.key.uid);
    sight.health = Health::Healthy;
    Progress::Again
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_again_soon_at_first_and_later_once_a_second() {
        let (asked, worker) = (AskedInVain::default(), Uid::new("u-1").unwrap());
        let pauses: Vec<_> = (0..8).map(|_| asked.once_more(&worker).as_millis()).collect();
        assert_eq!(pauses, [25, 50, 100, 200, 400, 800, 1000, 1000]);
        asked.forget(&worker);
        assert_eq!(asked.once_more(&worker), SOON);
    }
}
