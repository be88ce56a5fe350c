//! The refresh loop: an instance keeps the credentials of its own workers fresh, whoever leads
//! whatever else. A rotation of a tenant's secret rides on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use duckworker_core::plan::refresh::{self, Candidate, may_be_refreshed, pause_after};
use duckworker_core::{Tenant, Uid};
use futures::{StreamExt, stream};
use strum::IntoStaticStr;
use tokio::time::{Instant, MissedTickBehavior};

use crate::activation::{ActivationError, Activator, Refreshed};
use crate::credentials::Credentials;
use crate::token::WorkerSnapshot;

/// The times and limits of the refresh loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshSettings {
    /// From one look to the next, and the first pause after a refresh that failed.
    pub period: Duration,
    /// What a worker may take to be told.
    pub deadline: Duration,
    /// How long credentials are assumed to live when nobody knows when they were made.
    pub lifetime: Duration,
    /// How many workers are refreshed at once.
    pub concurrency: usize,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
            lifetime: Duration::from_hours(1),
            concurrency: 16,
        }
    }
}

/// What became of one try: a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RefreshResult {
    /// The worker has the newest credentials.
    Refreshed,
    /// There was nothing newer to give.
    Unchanged,
    /// It was not ours any more, or busy being assigned.
    Missed,
    /// The source, the worker or the API server failed. It is tried again.
    Failed,
}

/// Somebody who counts refreshes.
pub trait RefreshObserver: Send + Sync {
    /// Called once for every worker that was due.
    fn refreshed(&self, result: RefreshResult);
}

impl RefreshObserver for () {
    fn refreshed(&self, _: RefreshResult) {}
}

/// Keeps the credentials of one instance's workers fresh.
pub struct Refresher {
    activator: Activator,
    settings: RefreshSettings,
    observer: Arc<dyn RefreshObserver>,
    fruitless: HashMap<Uid, Fruitless>,
}

/// Tries in a row that did not help.
#[derive(Debug, Clone, Copy)]
struct Fruitless {
    tries: u32,
    next: Instant,
}

/// The tenants' credentials of one look: each is fetched once, however many workers it has.
type Fetched = HashMap<(String, Tenant), Option<Credentials>>;

impl Refresher {
    /// For the workers of this activator's instance.
    pub fn new(activator: Activator, settings: RefreshSettings) -> Self {
        Self { activator, settings, observer: Arc::new(()), fruitless: HashMap::new() }
    }

    /// The same, with somebody who counts.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn RefreshObserver>) -> Self {
        Self { observer, ..self }
    }

    /// Looks again and again, for ever.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.settings.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// One look: refreshes every worker that is due. One that fails holds up no other.
    pub async fn look(&mut self) {
        let due = self.due();
        if due.is_empty() {
            return;
        }
        let fetched = self.fetch(&due).await;
        let tries = due.into_iter().map(|worker| self.refresh(worker, &fetched));
        let results: Vec<_> =
            stream::iter(tries).buffer_unordered(self.settings.concurrency.max(1)).collect().await;
        for (uid, result) in results {
            self.observer.refreshed(result);
            self.remember(uid, result);
        }
    }

    /// Those of ours that are due and not being left alone, the most pressing first.
    fn due(&mut self) -> Vec<WorkerSnapshot> {
        let protocol = Arc::clone(self.activator.protocol());
        let own = self
            .activator
            .lifecycle()
            .own(|worker| may_be_refreshed(worker) && protocol.takes_credentials(worker));
        let by_uid: HashMap<&Uid, &WorkerSnapshot> =
            own.iter().map(|(seen, _)| (&seen.key().uid, seen)).collect();
        self.fruitless.retain(|uid, _| by_uid.contains_key(uid));
        let current: Vec<Option<String>> = own.iter().map(|(seen, _)| self.current(seen)).collect();
        let candidates = own.iter().zip(&current).map(|((seen, given), current)| Candidate {
            worker: seen.worker(),
            given: given.as_ref(),
            current: current.as_deref(),
        });
        let now = self.activator.lifecycle().store().connection().clock.now();
        let order = refresh::due(candidates, self.settings.lifetime, now);
        let instant = Instant::now();
        let left_alone =
            |uid: &Uid| self.fruitless.get(uid).is_some_and(|tried| instant < tried.next);
        order
            .into_iter()
            .filter(|uid| !left_alone(uid))
            .filter_map(|uid| by_uid.get(uid).map(|seen| (*seen).clone()))
            .collect()
    }

    fn current(&self, seen: &WorkerSnapshot) -> Option<String> {
        let tenant = seen.worker().status.tenant.as_ref()?;
        self.activator.source().revision(&seen.key().namespace, tenant)
    }

    async fn fetch(&self, due: &[WorkerSnapshot]) -> Fetched {
        let mut wanted: Vec<(String, Tenant)> = due.iter().filter_map(tenant_of).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let fetches = wanted.into_iter().map(async |(namespace, tenant)| {
            let source = self.activator.source();
            let fetch = source.fetch(&namespace, &tenant);
            match tokio::time::timeout(self.settings.deadline, fetch).await {
                Ok(Ok(credentials)) => Some(((namespace, tenant), credentials)),
                Ok(Err(error)) => {
                    tracing::warn!(namespace, %tenant, %error, "no credentials to be had; tried again");
                    None
                }
                Err(_) => {
                    tracing::warn!(namespace, %tenant, "the source of credentials does not answer");
                    None
                }
            }
        });
        let fetches = stream::iter(fetches).buffer_unordered(self.settings.concurrency.max(1));
        fetches.filter_map(std::future::ready).collect().await
    }

    async fn refresh(&self, worker: WorkerSnapshot, fetched: &Fetched) -> (Uid, RefreshResult) {
        let uid = worker.key().uid.clone();
        let found = tenant_of(&worker).and_then(|tenant| fetched.get(&tenant));
        let result = match found {
            None => RefreshResult::Failed,
            Some(None) => RefreshResult::Unchanged,
            Some(Some(credentials)) => self.tell(&worker, credentials).await,
        };
        (uid, result)
    }

    async fn tell(&self, worker: &WorkerSnapshot, credentials: &Credentials) -> RefreshResult {
        let refreshed = self.activator.refresh(worker, credentials, self.settings.deadline).await;
        match refreshed {
            Ok(Refreshed::Done) => RefreshResult::Refreshed,
            Ok(Refreshed::HadThem) => RefreshResult::Unchanged,
            Ok(Refreshed::Missed) => RefreshResult::Missed,
            Err(error @ (ActivationError::Call(_) | ActivationError::Worker(_))) => {
                tracing::warn!(worker = %worker.key(), %error, "refresh failed; it is tried again");
                RefreshResult::Failed
            }
        }
    }

    fn remember(&mut self, uid: Uid, result: RefreshResult) {
        match result {
            RefreshResult::Refreshed | RefreshResult::Missed => {
                self.fruitless.remove(&uid);
            }
            RefreshResult::Unchanged | RefreshResult::Failed => {
                let tries = self.fruitless.get(&uid).map_or(0, |tried| tried.tries) + 1;
                let next = Instant::now() + pause_after(tries, self.settings.period);
                self.fruitless.insert(uid, Fruitless { tries, next });
            }
        }
    }
}

fn tenant_of(worker: &WorkerSnapshot) -> Option<(String, Tenant)> {
    let tenant = worker.worker().status.tenant.clone()?;
    Some((worker.key().namespace.clone(), tenant))
}
