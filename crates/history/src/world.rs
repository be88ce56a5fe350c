//! Everything as it stood before the version that is looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use duckworker_core::OwnerStanding;
use jiff::Timestamp;
use serde_json::Value;

use crate::line::{CLAIMS, Change, LEASES, PODS, SECRETS, Version, WORKERS, uid_of};
use crate::seen::{self, Worker};

/// What the rules must be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A Lease that stood still for so long may be marked expired.
    pub expire: Duration,
    /// From one renewal of a Lease to the next.
    pub renew: Duration,
    /// What a worker gets beyond its own time-out before others step in.
    pub margin: Duration,
    /// How late a write may land after its sender was cut off: a request that was held on its way.
    pub late: Duration,
    /// The faults stopped, and everything had time to come right. Without it nothing is asked of
    /// the end.
    pub calm: Option<Calm>,
}

/// The calm at the end of a history.
#[derive(Debug, Clone, Copy)]
pub struct Calm {
    /// From here on there is nothing to do any more.
    pub quiet_since: Timestamp,
    /// The end.
    pub end: Timestamp,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            expire: Duration::from_secs(20),
            renew: Duration::from_secs(5),
            margin: Duration::from_mins(2),
            late: Duration::from_secs(15),
            calm: None,
        }
    }
}

/// An object that is there.
#[derive(Debug, Clone)]
pub struct Object {
    /// As it is.
    pub value: Value,
    /// Since when it is as it is.
    pub at: Timestamp,
    /// Its revision.
    pub revision: u64,
    /// When it was created.
    pub created: (u64, Timestamp),
    /// Who created it.
    pub created_by: Option<String>,
}

/// Everything that is there.
#[derive(Debug, Default)]
pub struct World {
    /// By collection and uid.
    objects: BTreeMap<(String, String), Object>,
    /// Workers, read, by uid.
    workers: BTreeMap<String, Worker>,
    /// The uids of workers and claims that are gone, and when they went.
    gone: BTreeMap<String, Timestamp>,
    /// The state of every instance that ever had a Lease, by its identity; none once that is gone.
    instances: BTreeMap<String, Option<OwnerStanding>>,
}

impl World {
    /// A worker that is there.
    pub fn worker(&self, uid: &str) -> Option<&Worker> {
        self.workers.get(uid)
    }

    /// All workers that are there.
    pub fn workers(&self) -> impl Iterator<Item = (&String, &Worker)> {
        self.workers.iter()
    }

    /// When this worker or this claim went, if it did.
    pub fn gone_since(&self, uid: &str) -> Option<Timestamp> {
        self.gone.get(uid).copied()
    }

    /// An object that is there.
    pub fn object(&self, collection: &str, uid: &str) -> Option<&Object> {
        self.objects.get(&(collection.to_owned(), uid.to_owned()))
    }

    /// All objects of a collection.
    pub fn all<'a>(&'a self, collection: &'a str) -> impl Iterator<Item = (&'a str, &'a Object)> {
        let all = self.objects.iter();
        all.filter(move |((kind, _), _)| kind == collection)
            .map(|((_, uid), object)| (uid.as_str(), object))
    }

    /// The pods and secrets that bear the uid of this worker.
    pub fn children<'a>(
        &'a self,
        uid: &'a str,
    ) -> impl Iterator<Item = (&'static str, &'a Object)> {
        [PODS, SECRETS].into_iter().flat_map(move |kind| {
            let of_it = move |object: &&Object| seen::made_for(&object.value) == Some(uid);
            self.all(kind).map(|(_, object)| object).filter(of_it).map(move |o| (kind, o))
        })
    }

    /// What is known of an owner: no Lease is as good as an expired one.
    pub fn standing(&self, owner: &str) -> OwnerStanding {
        self.instances.get(owner).copied().flatten().unwrap_or(OwnerStanding::Absent)
    }

    /// The Lease of an instance.
    pub fn lease_of(&self, owner: &str) -> Option<&Object> {
        let is_its = |object: &&Object| {
            seen::holder(&object.value) == Some(owner)
                && seen::instance_state(&object.value).is_some()
        };
        self.all(LEASES).map(|(_, object)| object).find(is_its)
    }

    /// Takes in a version.
    pub fn take(&mut self, version: &Version) {
        let uid = uid_of(&version.object).to_owned();
        if version.collection == LEASES && seen::instance_state(&version.object).is_some() {
            let state = seen::instance_state(&version.object);
            let state = state.filter(|_| version.change != Change::Deleted);
            if let Some(holder) = seen::holder(&version.object) {
                self.instances.insert(holder.to_owned(), state);
            }
        }
        let key = (version.collection.clone(), uid.clone());
        if version.change == Change::Deleted {
            self.objects.remove(&key);
            self.workers.remove(&uid);
            if [WORKERS, CLAIMS].contains(&version.collection.as_str()) {
                self.gone.insert(uid, version.at);
            }
            return;
        }
        if version.collection == WORKERS {
            self.workers.insert(uid, Worker::of(&version.object));
        }
        let old = self.objects.remove(&key);
        let object = Object {
            value: version.object.clone(),
            at: version.at,
            revision: version.revision,
            created: old.as_ref().map_or((version.revision, version.at), |old| old.created),
            created_by: old.map_or_else(|| version.by.clone(), |old| old.created_by),
        };
        self.objects.insert(key, object);
    }
}

/// The time between two stamps, zero when they stand the other way round.
pub fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO)
}
