//! The health loop: an instance asks its own workers how they are, and marks those lost that fail.
//!
//! Each worker has its own period, time-out and threshold (`spec.healthCheck`). Checks run side by
//! side in two lanes: one for workers that answered last time, one for those that did not. So any
//! number of wedged workers, each taking its whole time-out, holds up nobody but their own kind,
//! and the number of checks under way stays bounded.
//!
//! What is found is acted upon by the lease that was held when the check began: a worker that
//! changed hands meanwhile is never harmed by what was seen before. A store that does not answer
//! removes nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use duckworker_core::plan::health::{
    Disposition, Finding, Pulse, Verdict, disposition, is_checked,
};
use duckworker_core::{Reason, Uid, WorkerState};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior};

use crate::lifecycle::WorkerLifecycle;
use crate::outcome::{Origin, Outcome};
use crate::protocol::WorkerProtocol;
use crate::token::{DeletePermit, WorkerLease, WorkerSnapshot};

/// Somebody who goes on where a check ends. The transitions themselves delete nothing.
pub trait HealthFollower: Send + Sync {
    /// A check was made.
    fn checked(&self, _finding: Finding) {}

    /// A worker was marked lost, by our lease. What is left of it is the follower's to delete.
    fn lost<'a>(
        &'a self,
        worker: &'a WorkerSnapshot,
        reason: Reason,
        permit: DeletePermit,
    ) -> BoxFuture<'a, ()>;

    /// A worker said that it stops, and drains now. Its pod is the follower's to delete.
    fn draining<'a>(
        &'a self,
        worker: &'a WorkerSnapshot,
        permit: DeletePermit,
    ) -> BoxFuture<'a, ()>;

    /// A worker is somebody else's: forget it, and touch nothing.
    fn stale(&self, worker: &WorkerSnapshot);
}

/// The limits of the health loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthSettings {
    /// From one look at who is due to the next.
    pub look: Duration,
    /// How many workers that answered last time are asked at once.
    pub quick_lane: usize,
    /// How many of the others.
    pub slow_lane: usize,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { look: Duration::from_millis(500), quick_lane: 256, slow_lane: 64 }
    }
}

/// Watches over the health of one instance's workers.
pub struct HealthLoop {
    tools: Tools,
    settings: HealthSettings,
    beats: HashMap<Uid, Beat>,
    /// How many checks are under way in each lane.
    quick: usize,
    slow: usize,
}

#[derive(Clone)]
struct Tools {
    lifecycle: WorkerLifecycle,
    protocol: Arc<dyn WorkerProtocol>,
    follower: Arc<dyn HealthFollower>,
}

/// What is known of one worker between its checks.
#[derive(Debug)]
struct Beat {
    pulse: Pulse,
    next: Instant,
    seen: Instant,
    under_way: Option<Lane>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Quick,
    Slow,
}

/// A check that ended.
struct Done {
    uid: Uid,
    pulse: Pulse,
}

/// A worker that was not seen among ours for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_mins(1);

impl HealthLoop {
    /// For the workers of this instance.
    pub fn new(
        lifecycle: WorkerLifecycle,
        protocol: Arc<dyn WorkerProtocol>,
        follower: Arc<dyn HealthFollower>,
        settings: HealthSettings,
    ) -> Self {
        let tools = Tools { lifecycle, protocol, follower };
        Self { tools, settings, beats: HashMap::new(), quick: 0, slow: 0 }
    }

    /// Checks, for ever. Dropped, it leaves nothing half done: a check that is cut off is no
    /// failure, and a write that is under way is settled by whoever asks for the worker next.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.settings.look);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut checks = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    for (worker, pulse) in self.begin(Instant::now()) {
                        checks.push(check(self.tools.clone(), worker, pulse));
                    }
                }
                Some(done) = checks.next(), if !checks.is_empty() => self.end(&done),
            }
        }
    }

    /// The workers to check now.
    fn begin(&mut self, now: Instant) -> Vec<(WorkerSnapshot, Pulse)> {
        let beats = &mut self.beats;
        let due = self.tools.lifecycle.own(|worker| {
            if !is_checked(worker) {
                return false;
            }
            let uid = &worker.key.uid;
            let beat = beats.entry(uid.clone()).or_insert_with(|| Beat {
                pulse: Pulse::default(),
                next: now + spread(uid, worker.spec.health.period),
                seen: now,
                under_way: None,
            });
            beat.seen = now;
            beat.under_way.is_none() && beat.next <= now
        });
        self.beats.retain(|_, beat| beat.under_way.is_some() || now - beat.seen < FORGOTTEN);
        let mut begun = Vec::new();
        for (worker, _) in due {
            let Some(beat) = self.beats.get_mut(&worker.key().uid) else { continue };
            let (lane, taken, room) = match beat.pulse.failures() {
                0 => (Lane::Quick, &mut self.quick, self.settings.quick_lane),
                _ => (Lane::Slow, &mut self.slow, self.settings.slow_lane),
            };
            // The lane is full: it is due at the next look, too.
            if *taken < room.max(1) {
                *taken += 1;
                beat.under_way = Some(lane);
                beat.next = now + worker.worker().spec.health.period;
                begun.push((worker, beat.pulse));
            }
        }
        begun
    }

    fn end(&mut self, done: &Done) {
        let Some(beat) = self.beats.get_mut(&done.uid) else { return };
        match beat.under_way.take() {
            Some(Lane::Quick) => self.quick = self.quick.saturating_sub(1),
            Some(Lane::Slow) => self.slow = self.slow.saturating_sub(1),
            None => {}
        }
        beat.pulse = done.pulse;
    }
}

/// Where in its first period a worker is checked for the first time: not all at once.
fn spread(uid: &Uid, period: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    uid.as_str().hash(&mut hasher);
    let part = u32::try_from(hasher.finish() % 1000).unwrap_or(0);
    period * part / 1000
}

/// One check, and what follows from it.
async fn check(tools: Tools, worker: WorkerSnapshot, pulse: Pulse) -> Done {
    let uid = worker.key().uid.clone();
    // The lease before the question: what is found is true of that lease only.
    let Ok(Some(lease)) = tools.lifecycle.lease(&uid).await else { return Done { uid, pulse } };
    let terms = worker.worker().spec.health;
    let probe = tools.protocol.probe(worker.worker());
    let finding = tokio::time::timeout(terms.timeout, probe).await.unwrap_or(Finding::Failed);
    tools.follower.checked(finding);
    let (pulse, verdict) = pulse.after(finding, lease.epoch(), terms.threshold);
    match verdict {
        Verdict::Fine => {}
        Verdict::Lost(reason) => lose(&tools, &worker, &lease, reason).await,
        Verdict::Drain(reason) => drain(&tools, &worker, &lease, reason).await,
    }
    Done { uid, pulse }
}

async fn lose(tools: &Tools, worker: &WorkerSnapshot, lease: &WorkerLease, reason: Reason) {
    match tools.lifecycle.mark_lost(lease, reason, Origin::Health).await {
        Ok(Outcome::Transitioned(permit)) => tools.follower.lost(worker, reason, permit).await,
        Ok(Outcome::Missed(_)) => missed(tools, worker, lease, reason).await,
        Err(error) => {
            tracing::warn!(worker = %worker.key(), %error, "not marked lost; it is tried again");
        }
    }
}

async fn drain(tools: &Tools, worker: &WorkerSnapshot, lease: &WorkerLease, reason: Reason) {
    match tools.lifecycle.drain(lease, reason, Origin::Health).await {
        Ok(Outcome::Transitioned(permit)) => tools.follower.draining(worker, permit).await,
        Ok(Outcome::Missed(_)) => missed(tools, worker, lease, reason).await,
        Err(error) => {
            tracing::warn!(worker = %worker.key(), %error, "not drained; it is tried again");
        }
    }
}

/// A miss proves nothing. One consistent read tells whether the worker is somebody else's, ours at
/// a newer epoch, or ended by our own lease after all.
async fn missed(tools: &Tools, worker: &WorkerSnapshot, lease: &WorkerLease, reason: Reason) {
    let key = worker.key();
    let now = match tools.lifecycle.store().observe(&key.namespace, &key.name).await {
        Ok(now) => now,
        Err(error) => {
            tracing::warn!(worker = %key, %error, "nobody can tell whose it is; looked at again");
            return;
        }
    };
    match disposition(lease.fence(), now.as_ref().map(WorkerSnapshot::worker)) {
        Disposition::Again => {}
        Disposition::Stale => tools.follower.stale(worker),
        Disposition::Ended => {
            let lost = now.filter(|now| now.state() == WorkerState::Lost);
            if let Some(permit) = lost.and_then(|lost| lost.condemned()) {
                tools.follower.lost(worker, reason, permit).await;
            }
        }
    }
}
