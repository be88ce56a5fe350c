//! What etcd is to the API server: objects, one revision for all, and every version there was.

mod version;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub use version::{Change, Version};

use crate::meta;

/// The revision before the first write. The step from two digits to three comes early, for those
/// who compare versions as text.
const FIRST: u64 = 95;

/// Namespace (empty for none) and name.
pub type Key = (String, String);

/// One stored object.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The object as it is read.
    pub object: Arc<Value>,
    /// It is stored without the default of its status, with which it is read: so the first
    /// replacement by the same changes it.
    pub undefaulted: bool,
}

/// Who writes what when.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The user.
    pub by: Arc<str>,
    /// The simulated time.
    pub at: jiff::Timestamp,
}

/// All objects, and all versions of them.
#[derive(Debug, Default)]
pub struct Store {
    objects: BTreeMap<Arc<str>, BTreeMap<Key, Entry>>,
    history: Vec<Arc<Version>>,
    compacted: u64,
}

impl Store {
    /// The newest revision.
    pub fn revision(&self) -> u64 {
        self.history.last().map_or(FIRST, |version| version.revision)
    }

    /// The revision up to which versions are forgotten for watches and pages.
    pub const fn compacted(&self) -> u64 {
        self.compacted
    }

    /// Forgets all versions up to now, as far as clients are concerned.
    pub fn compact(&mut self) {
        self.compacted = self.revision();
    }

    /// One object.
    pub fn get(&self, collection: &str, key: &Key) -> Option<&Entry> {
        self.objects.get(collection)?.get(key)
    }

    /// The objects of a collection, in order; of one namespace or of all.
    pub fn list(&self, collection: &str, namespace: Option<&str>) -> Vec<(Key, Arc<Value>)> {
        let all = self.objects.get(collection).into_iter().flatten();
        all.filter(|((home, _), _)| namespace.is_none_or(|wanted| wanted == home))
            .map(|(key, entry)| (key.clone(), Arc::clone(&entry.object)))
            .collect()
    }

    /// The same at an earlier revision.
    pub fn list_at(
        &self,
        collection: &str,
        namespace: Option<&str>,
        revision: u64,
    ) -> Vec<(Key, Arc<Value>)> {
        if revision >= self.revision() {
            return self.list(collection, namespace);
        }
        let mut objects = BTreeMap::new();
        let past = self.history.iter().take_while(|version| version.revision <= revision);
        for version in past.filter(|version| &*version.collection == collection) {
            if namespace.is_some_and(|wanted| wanted != version.namespace) {
                continue;
            }
            match version.change {
                Change::Deleted => objects.remove(&version.key()),
                _ => objects.insert(version.key(), Arc::clone(&version.object)),
            };
        }
        objects.into_iter().collect()
    }

    /// Every object of every collection.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Key, &Arc<Value>)> {
        let all = self.objects.iter();
        all.flat_map(|(name, entries)| entries.iter().map(move |(key, e)| (name, key, &e.object)))
    }

    /// The versions after a revision, oldest first.
    pub fn since(&self, revision: u64) -> &[Arc<Version>] {
        let start = self.history.partition_point(|version| version.revision <= revision);
        &self.history[start..]
    }

    /// Stores an object, new or not.
    pub fn put(
        &mut self,
        collection: &str,
        key: Key,
        mut object: Value,
        undefaulted: bool,
        stamp: Stamp,
    ) -> Arc<Value> {
        let revision = self.revision() + 1;
        meta::set(&mut object, "resourceVersion", revision.to_string());
        let object = Arc::new(object);
        let name = self.collection(collection);
        let entry = Entry { object: Arc::clone(&object), undefaulted };
        let entries = self.objects.entry(Arc::clone(&name)).or_default();
        let previous = entries.insert(key.clone(), entry).map(|entry| entry.object);
        let change = if previous.is_some() { Change::Updated } else { Change::Created };
        let version =
            Version::new(revision, name, key, change, Arc::clone(&object), previous, stamp);
        self.history.push(Arc::new(version));
        object
    }

    /// Removes an object.
    pub fn remove(&mut self, collection: &str, key: &Key, stamp: Stamp) -> Option<Arc<Value>> {
        let previous = self.objects.get_mut(collection)?.remove(key)?.object;
        let revision = self.revision() + 1;
        let mut last = Value::clone(&previous);
        meta::set(&mut last, "resourceVersion", revision.to_string());
        let last = Arc::new(last);
        let version = Version::new(
            revision,
            self.collection(collection),
            key.clone(),
            Change::Deleted,
            Arc::clone(&last),
            Some(previous),
            stamp,
        );
        self.history.push(Arc::new(version));
        Some(last)
    }

    fn collection(&self, name: &str) -> Arc<str> {
        self.objects.get_key_value(name).map_or_else(|| name.into(), |(known, _)| Arc::clone(known))
    }
}
