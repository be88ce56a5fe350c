//! What there is.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use duckworker_core::plan::health::HealthTerms;
use duckworker_core::worker::{ConnectionTerms, Protocol, WorkerTerms};
use duckworker_core::{
    Image, LeaseFence, Owner, Tenant, Uid, Worker, WorkerKey, WorkerStatus, WriteId,
};
use jiff::{SignedDuration, Timestamp};

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Each worker, and what the API server has of it.
    pub workers: Vec<Slot>,
    /// The controllers.
    pub processes: Vec<Process>,
    /// Whether each instance that ever was is marked expired.
    pub instances: BTreeMap<Owner, bool>,
    /// What is on its way.
    pub network: BTreeSet<Message>,
    /// Hours since the beginning. One is longer than any time-out.
    pub clock: u8,
    /// How often each thing happened that may happen only so often.
    pub spent: Spent,
    /// The rules that broke.
    pub broken: BTreeSet<&'static str>,
}

/// How often each thing happened that may happen only so often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Processes that died.
    pub crashes: u8,
    /// Leases that were marked.
    pub expiries: u8,
    /// Messages that arrived and stayed on their way.
    pub doubles: u8,
    /// Pods that died.
    pub deaths: u8,
    /// Transitions of a library.
    pub claims: u8,
}

/// One worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The object; none once it is gone.
    pub object: Option<Object>,
    /// The pod of its name.
    pub pod: Option<Pod>,
    /// Which owner made the secret of its name.
    pub secret: Option<Owner>,
    /// How many pods it ever had.
    pub pods: u8,
    /// Every epoch and its owner.
    pub owners: BTreeMap<i64, Owner>,
}

/// A stored worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its version.
    pub version: u8,
    /// The worker.
    pub worker: Worker,
    /// Our finalizer is on it.
    pub finalizer: bool,
}

/// A stored pod.
#[allow(clippy::struct_excessive_bools, reason = "any combination of them can be")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pod {
    /// The how-manieth of its worker.
    pub number: u8,
    /// It is ready.
    pub ready: bool,
    /// It has ended.
    pub ended: bool,
    /// It was told to stop.
    pub stopped: bool,
    /// It was made when its worker's end was decided.
    pub late: bool,
}

/// A controller.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// Its identity: another one after each start.
    pub owner: Owner,
    /// How often it was started.
    pub starts: u8,
    /// What it knows of each worker.
    pub books: Vec<Book>,
}

/// What a process knows of a worker.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Book {
    /// The worker, as it was when the process last saw it.
    pub seen: Option<Object>,
    /// The lease that it holds.
    pub held: Option<LeaseFence>,
    /// A write that is not decided.
    pub doubt: Option<Put>,
    /// It made the secret.
    pub made_secret: bool,
}

/// A write of a status.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    /// Which worker.
    pub worker: usize,
    /// Over which version.
    pub base: u8,
    /// Its id.
    pub id: WriteId,
    /// The status.
    pub status: WorkerStatus,
}

/// What is on its way to the API server.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Write a status.
    Put(Box<Put>),
    /// Make the pod.
    MakePod {
        /// Of which worker.
        worker: usize,
    },
    /// Stop this pod.
    StopPod {
        /// Of which worker.
        worker: usize,
        /// Which of its pods.
        number: u8,
    },
}

// The values of core are compared by what they show: none of them hides anything.
impl Eq for Message {}

impl Ord for Message {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Message {
    /// What tells it from every other: a write its id and the version that it is over.
    fn key(&self) -> (u8, usize, u8, Option<&WriteId>) {
        match self {
            Self::Put(put) => (0, put.worker, put.base, Some(&put.id)),
            Self::MakePod { worker } => (1, *worker, 0, None),
            Self::StopPod { worker, number } => (2, *worker, *number, None),
        }
    }
}

impl PartialOrd for Message {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for slot in &self.workers {
            if let Some(object) = &slot.object {
                hash_object(object, state);
            }
            (slot.pod.map(|p| (p.number, p.ready, p.ended, p.stopped, p.late))).hash(state);
            (&slot.secret, slot.pods, &slot.owners).hash(state);
        }
        for process in &self.processes {
            process.owner.hash(state);
            for book in &process.books {
                if let Some(object) = &book.seen {
                    hash_object(object, state);
                }
                (&book.held, book.made_secret).hash(state);
                if let Some(put) = &book.doubt {
                    hash_put(put, state);
                }
            }
        }
        for message in &self.network {
            message.key().hash(state);
        }
        let Spent { crashes, expiries, doubles, deaths, claims } = self.spent;
        (crashes, expiries, doubles, deaths, claims, self.clock).hash(state);
        (&self.instances, &self.broken).hash(state);
    }
}

fn hash_put<H: Hasher>(put: &Put, state: &mut H) {
    (put.worker, put.base, &put.id).hash(state);
    hash_status(&put.status, state);
}

fn hash_object<H: Hasher>(object: &Object, state: &mut H) {
    (object.version, object.finalizer, object.worker.deletion).hash(state);
    hash_status(&object.worker.status, state);
}

/// All that decisions and plans read of it.
fn hash_status<H: Hasher>(status: &WorkerStatus, state: &mut H) {
    (status.state, &status.ownership, &status.tenant, &status.claim).hash(state);
    (status.writes.seq, &status.writes.ids, &status.pod, &status.secret_name).hash(state);
    (status.state_since, status.idle_since, status.observed_generation).hash(state);
    for record in &status.transitions {
        (record.name.as_str(), &record.by, record.epoch).hash(state);
    }
    for condition in &status.conditions {
        (&condition.reason, &condition.message).hash(state);
    }
}

impl State {
    /// The beginning: workers that nobody has taken, controllers that know nothing.
    pub fn new(workers: usize, processes: usize) -> Self {
        let slots = (0..workers).map(Slot::new).collect();
        let processes: Vec<_> = (0..processes).map(|n| Process::new(n, 0, workers)).collect();
        let instances = processes.iter().map(|process| (process.owner.clone(), false)).collect();
        Self {
            workers: slots,
            processes,
            instances,
            network: BTreeSet::new(),
            clock: 0,
            spent: Spent::default(),
            broken: BTreeSet::new(),
        }
    }

    /// The API server's time.
    pub fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(i64::from(self.clock))
    }
}

impl Slot {
    /// Every second worker is dedicated to a tenant, so that it goes on to Hot by itself.
    fn new(number: usize) -> Self {
        let text = format!("w{number}");
        let key = WorkerKey { namespace: "n".to_owned(), name: text.clone(), uid: uid(&text) };
        let minute = Duration::from_mins(1);
        let spec = WorkerTerms {
            image: Image::new("duck:1").unwrap_or_else(|error| unreachable!("{error}")),
            dedicated_to: number.is_multiple_of(2).then(tenant),
            connection: ConnectionTerms { protocol: Protocol::None, port: 8816 },
            health: HealthTerms::default(),
            startup_timeout: minute,
            activation_timeout: minute,
            drain_timeout: minute,
            ttl_after_finished: None,
        };
        let status = WorkerStatus::pending();
        let worker = Worker { key, pool: None, generation: 1, deletion: None, spec, status };
        let object = Some(Object { version: 1, worker, finalizer: false });
        Self { object, pod: None, secret: None, pods: 0, owners: BTreeMap::new() }
    }
}

impl Process {
    /// One that has just started.
    pub fn new(number: usize, starts: u8, workers: usize) -> Self {
        let owner = Owner::new(format!("c{number}.{starts}"));
        let owner = owner.unwrap_or_else(|error| unreachable!("{error}"));
        Self { owner, starts, books: vec![Book::default(); workers] }
    }
}

/// The uid that this text is.
pub fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap_or_else(|error| unreachable!("{error}"))
}

/// The tenant of all dedicated workers.
pub fn tenant() -> Tenant {
    Tenant::new("t").unwrap_or_else(|error| unreachable!("{error}"))
}

/// The uid of a worker's pod.
pub fn pod_uid(worker: usize, number: u8) -> Uid {
    uid(&format!("p{worker}-{number}"))
}
