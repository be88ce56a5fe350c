//! What the steps share.

use std::collections::HashMap;
use std::time::Duration;

use duckworker_api::DuckWorker;
use duckworker_client::{Children, Error, Outcome, ServerClock, WorkerLifecycle, WorkerSnapshot};
use duckworker_core::plan::janitor::Limits;
use duckworker_core::plan::janitor::sightings::Sightings;
use duckworker_core::plan::janitor::workers::{WorkerSeen, may_concern};
use duckworker_core::plan::worker::Holder;
use duckworker_core::{Owner, OwnerStanding, Uid, WorkerState};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::reflector::Store;
use tokio::time::Instant;

use super::Leadership;
use super::strays::ForeignSecrets;
use crate::controllers::worker::context::Caches;
use crate::observe::{JanitorMetrics, Observer, StepMetrics};
use crate::peers::Peers;
use crate::settings::JanitorTimes;

/// What the janitor works with.
pub struct Tools {
    /// The caches of every scope, filled.
    pub caches: Vec<Caches>,
    /// The Leases of instances.
    pub leases: Store<Lease>,
    /// The same, as seen by this instance.
    pub peers: Peers,
    /// The transitions.
    pub lifecycle: WorkerLifecycle,
    /// Pods and secrets.
    pub children: Children,
    /// The API server's time.
    pub clock: ServerClock,
    /// Events.
    pub observer: Observer,
    /// The metrics of the steps.
    pub metrics: JanitorMetrics,
    /// Its times.
    pub times: JanitorTimes,
    /// On how many things a step acts at once.
    pub concurrency: usize,
}

/// What the janitor remembers from tick to tick, for as long as it leads.
#[derive(Default)]
pub struct Memory {
    /// Since when owners are seen dead.
    pub(super) dead_owners: Sightings<Owner, Instant>,
    /// Since when workers are seen whose stamp cannot be right.
    pub(super) workers: Sightings<Uid, Timestamp>,
    /// Since when Leases, by uid, are seen expired.
    pub(super) expired_leases: Sightings<String, Instant>,
    /// Secrets that turned out to be none of ours.
    pub(super) foreign_secrets: ForeignSecrets,
}

impl Memory {
    pub(super) fn end_round(&mut self) {
        self.dead_owners.end_round();
        self.workers.end_round();
        self.expired_leases.end_round();
    }
}

/// One step of one tick.
pub struct Round<'a> {
    pub(super) tools: &'a Tools,
    pub(super) leadership: &'a Leadership,
    pub(super) memory: &'a mut Memory,
    pub(super) metrics: StepMetrics,
}

/// What became of one act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It was done.
    Acted,
    /// It was somebody else's by then, or in order after all.
    Missed,
}

impl<T> From<Outcome<T>> for Act {
    fn from(outcome: Outcome<T>) -> Self {
        match outcome {
            Outcome::Transitioned(_) => Self::Acted,
            Outcome::Missed(_) => Self::Missed,
        }
    }
}

/// A worker that may concern the janitor.
pub struct Suspect {
    /// The worker as the cache has it.
    pub snapshot: WorkerSnapshot,
    holder: Holder,
    ownerless_for: Duration,
    since: Timestamp,
}

impl Suspect {
    /// What the judgement may know.
    pub fn seen(&self) -> WorkerSeen<'_> {
        WorkerSeen {
            worker: self.snapshot.worker(),
            holder: self.holder,
            ownerless_for: self.ownerless_for,
            since: self.since,
        }
    }
}

impl Round<'_> {
    pub(super) const fn limits(&self) -> Limits {
        self.tools.times.limits()
    }

    /// The few workers that may concern the janitor, longest in their state first.
    pub(super) fn suspects(&mut self) -> Vec<Suspect> {
        let found = self.glance();
        let (now, instant) = (self.tools.clock.now(), Instant::now());
        let mut suspects: Vec<_> =
            found.into_iter().map(|snapshot| self.suspect(snapshot, now, instant)).collect();
        suspects.sort_by_key(|suspect| suspect.since);
        suspects
    }

    fn glance(&self) -> Vec<WorkerSnapshot> {
        let mut standings = HashMap::new();
        let mut found = Vec::new();
        for caches in &self.tools.caches {
            let raw = caches.workers.store().state();
            for owner in raw.iter().filter_map(|worker| owner_of(worker)) {
                if !standings.contains_key(owner) {
                    standings.insert(owner.to_owned(), self.tools.peers.standing(owner));
                }
            }
            let concerns = |worker: &DuckWorker| {
                let standing = owner_of(worker).and_then(|owner| standings.get(owner));
                let standing = standing.copied().unwrap_or(OwnerStanding::Live);
                state_of(worker).is_some_and(|state| may_concern(state, standing))
            };
            found.extend(caches.workers.select(concerns));
        }
        found
    }

    fn suspect(&mut self, snapshot: WorkerSnapshot, now: Timestamp, instant: Instant) -> Suspect {
        let status = &snapshot.worker().status;
        let holder = self.tools.peers.holder(status);
        let dead = match holder {
            Holder::Peer(standing) | Holder::Foreign(standing) => standing.is_dead(),
            Holder::Me | Holder::Nobody => false,
        };
        let first = status
            .owner()
            .filter(|_| dead)
            .map(|owner| self.memory.dead_owners.see(owner.clone(), instant));
        let ownerless_for = first.map_or(Duration::ZERO, |first| instant.duration_since(first));
        let uid = snapshot.key().uid.clone();
        let since = self.memory.workers.stamp_or_sight(uid, status.state_since, now);
        Suspect { snapshot, holder, ownerless_for, since }
    }

    /// Acts on each thing that was found, some at once, for as long as we lead.
    pub(super) async fn each<T, F>(&self, found: Vec<T>, act: impl Fn(T) -> F)
    where
        F: Future<Output = Result<Act, Error>>,
    {
        self.metrics.found(found.len());
        let in_office = |_: &T| std::future::ready(self.leadership.is_held());
        let acts = stream::iter(found).take_while(in_office).map(act);
        let results = acts.buffer_unordered(self.tools.concurrency);
        results.for_each(async |result| self.count(result)).await;
    }

    fn count(&self, result: Result<Act, Error>) {
        self.metrics.result(match result {
            Ok(Act::Acted) => "acted",
            Ok(Act::Missed) => "missed",
            Err(error) => {
                let error = crate::text::chain(&error);
                tracing::warn!(error, "an act of the janitor failed; the next tick tries again");
                "failed"
            }
        });
    }
}

fn owner_of(worker: &DuckWorker) -> Option<&str> {
    worker.status.as_ref()?.owner.as_deref()
}

/// The state in a raw status; none that this version does not know.
pub(super) fn state_of(worker: &DuckWorker) -> Option<WorkerState> {
    worker.status.as_ref().map_or(Some(WorkerState::Pending), |status| status.state.parse().ok())
}
