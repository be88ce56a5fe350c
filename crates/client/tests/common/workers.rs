//! Workers and sources of credentials that do as a test says, and remember what was asked.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use duckworker_client::{
    CredentialSource, Credentials, DeletePermit, Error, HealthFollower, NotActivated, WorkerLease,
    WorkerProtocol, WorkerSnapshot,
};
use duckworker_core::plan::health::Finding;
use duckworker_core::{Reason, Tenant, Worker};
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How a worker answers a health check.
#[derive(Debug, Clone, Copy)]
pub enum Answers {
    /// This, at once.
    With(Finding),
    /// Never.
    Never,
}

/// What a worker was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub worker: String,
    pub epoch: i64,
    pub members: BTreeMap<String, Vec<u8>>,
}

type Hook = Box<dyn Fn(&str) -> BoxFuture<'static, ()> + Send + Sync>;

/// Workers that do as they are told here; all are healthy and willing by default.
#[derive(Default)]
pub struct Workers {
    pub answers: Mutex<HashMap<String, Answers>>,
    pub unwilling: Mutex<HashSet<String>>,
    pub probes: Mutex<Vec<(String, Instant)>>,
    pub told: Mutex<Vec<Told>>,
    /// What happens while a worker is being told.
    pub meanwhile: Mutex<Option<Hook>>,
}

impl Workers {
    pub fn answer(&self, worker: &str, answers: Answers) {
        self.answers.lock().unwrap().insert(worker.to_owned(), answers);
    }

    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    pub fn names_told(&self) -> Vec<String> {
        self.told().into_iter().map(|told| told.worker).collect()
    }

    /// How often a worker was asked for its health.
    pub fn asked(&self, worker: &str) -> usize {
        self.probes.lock().unwrap().iter().filter(|(name, _)| name == worker).count()
    }

    /// The longest time between two questions to a worker.
    pub fn longest_gap(&self, worker: &str) -> Duration {
        let probes = self.probes.lock().unwrap();
        let times: Vec<Instant> =
            probes.iter().filter(|(name, _)| name == worker).map(|(_, at)| *at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX)
    }
}

impl WorkerProtocol for Workers {
    fn probe<'a>(&'a self, worker: &'a Worker) -> BoxFuture<'a, Finding> {
        let name = worker.key.name.clone();
        self.probes.lock().unwrap().push((name.clone(), Instant::now()));
        let answers = self.answers.lock().unwrap().get(&name).copied();
        Box::pin(async move {
            match answers.unwrap_or(Answers::With(Finding::Healthy)) {
                Answers::With(finding) => finding,
                Answers::Never => std::future::pending().await,
            }
        })
    }

    fn takes_credentials(&self, _: &Worker) -> bool {
        true
    }

    fn activate<'a>(
        &'a self,
        worker: &'a Worker,
        lease: &'a WorkerLease,
        credentials: Option<&'a Credentials>,
    ) -> BoxFuture<'a, Result<(), NotActivated>> {
        Box::pin(async move {
            let name = worker.key.name.clone();
            let meanwhile = self.meanwhile.lock().unwrap().as_ref().map(|hook| hook(&name));
            if let Some(meanwhile) = meanwhile {
                meanwhile.await;
            }
            if self.unwilling.lock().unwrap().contains(&name) {
                return Err(NotActivated::Failed("it does not want to".to_owned()));
            }
            let members = credentials.map(|c| c.members.iter()).into_iter().flatten();
            let members = members.map(|(name, value)| (name.clone(), value.to_vec())).collect();
            let told = Told { worker: name, epoch: lease.epoch().get(), members };
            self.told.lock().unwrap().push(told);
            Ok(())
        })
    }
}

/// The credentials of tenants; a tenant without an entry has none.
#[derive(Default)]
pub struct Source {
    pub editions: Mutex<HashMap<String, (String, Option<Timestamp>)>>,
    pub failing: Mutex<HashSet<String>>,
    pub fetches: Mutex<usize>,
}

impl Source {
    pub fn set(&self, tenant: &str, revision: &str, expire_at: Option<Timestamp>) {
        let edition = (revision.to_owned(), expire_at);
        self.editions.lock().unwrap().insert(tenant.to_owned(), edition);
    }

    fn edition(&self, tenant: &Tenant) -> Option<(String, Option<Timestamp>)> {
        self.editions.lock().unwrap().get(tenant.as_str()).cloned()
    }
}

/// The members of an edition.
pub fn members(revision: &str) -> BTreeMap<String, Vec<u8>> {
    [("key", revision), ("cache_transport", "s3"), ("catalog", "ducks")]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .into()
}

impl CredentialSource for Source {
    fn revision(&self, _: &str, tenant: &Tenant) -> Option<String> {
        self.edition(tenant).map(|(revision, _)| revision)
    }

    fn fetch<'a>(
        &'a self,
        _: &'a str,
        tenant: &'a Tenant,
    ) -> BoxFuture<'a, Result<Option<Credentials>, Error>> {
        *self.fetches.lock().unwrap() += 1;
        let fails = self.failing.lock().unwrap().contains(tenant.as_str());
        let found = self.edition(tenant).map(|(revision, expire_at)| Credentials {
            members: members(&revision).into_iter().map(|(k, v)| (k, Zeroizing::new(v))).collect(),
            revision,
            expire_at,
        });
        Box::pin(async move {
            if fails {
                let (what, pause) = ("asking the test".to_owned(), Duration::from_secs(1));
                return Err(Error::Throttled { what, pause });
            }
            Ok(found)
        })
    }
}

/// What a health loop told of.
#[derive(Default)]
pub struct Heard {
    pub lost: Mutex<Vec<(String, Reason)>>,
    pub draining: Mutex<Vec<String>>,
    pub stale: Mutex<Vec<String>>,
}

impl HealthFollower for Heard {
    fn lost<'a>(
        &'a self,
        worker: &'a WorkerSnapshot,
        reason: Reason,
        permit: DeletePermit,
    ) -> BoxFuture<'a, ()> {
        assert_eq!(permit.key(), worker.key());
        self.lost.lock().unwrap().push((worker.key().name.clone(), reason));
        Box::pin(std::future::ready(()))
    }

    fn draining<'a>(
        &'a self,
        worker: &'a WorkerSnapshot,
        permit: DeletePermit,
    ) -> BoxFuture<'a, ()> {
        assert_eq!(permit.key(), worker.key());
        self.draining.lock().unwrap().push(worker.key().name.clone());
        Box::pin(std::future::ready(()))
    }

    fn stale(&self, worker: &WorkerSnapshot) {
        self.stale.lock().unwrap().push(worker.key().name.clone());
    }
}
