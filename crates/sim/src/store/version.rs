//! One version of one object: what watches deliver and what history checkers read.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{Key, Stamp};
use crate::meta;

/// What made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The object is new.
    Created,
    /// It was replaced.
    Updated,
    /// It is gone; the version shows it as it last was.
    Deleted,
}

/// One version of one object.
#[derive(Debug, Clone)]
pub struct Version {
    /// The revision, which is the object's resourceVersion.
    pub revision: u64,
    /// `duckworkers.duckworker.dev`, `pods`.
    pub collection: Arc<str>,
    /// The namespace; empty for none.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// What made it.
    pub change: Change,
    /// The object.
    pub object: Arc<Value>,
    /// The version before.
    pub previous: Option<Arc<Value>>,
    /// The user who wrote it.
    pub by: Arc<str>,
    /// When.
    pub at: Timestamp,
}

impl Version {
    pub(super) fn new(
        revision: u64,
        collection: Arc<str>,
        (namespace, name): Key,
        change: Change,
        object: Arc<Value>,
        previous: Option<Arc<Value>>,
        Stamp { by, at }: Stamp,
    ) -> Self {
        Self { revision, collection, namespace, name, change, object, previous, by, at }
    }

    /// Namespace and name.
    pub fn key(&self) -> Key {
        (self.namespace.clone(), self.name.clone())
    }

    /// The uid of the object.
    pub fn uid(&self) -> &str {
        meta::text(&self.object, "uid").unwrap_or_default()
    }
}
