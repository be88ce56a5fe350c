//! A watch: which versions it delivers, and as what.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::kinds::Kind;
use crate::select::Selection;
use crate::store::{Change, Store, Version};
use crate::view::View;

/// A watch and how far it got.
#[derive(Debug)]
pub struct Subscription {
    /// The kind.
    pub kind: Arc<Kind>,
    /// Its collection.
    pub collection: String,
    /// The namespace; none for all.
    pub namespace: Option<String>,
    /// Which objects.
    pub selection: Selection,
    /// How they are shown.
    pub view: View,
    /// Objects that are delivered first, as added.
    pub initial: Vec<Arc<Value>>,
    /// A bookmark tells when those were all.
    pub marks_initial_end: bool,
    /// Bookmarks tell how far it got.
    pub bookmarks: bool,
    /// The revision up to which it delivered everything.
    pub seen: u64,
    /// How long it lasts.
    pub time: Duration,
}

impl Subscription {
    /// The events with which it begins.
    pub fn begin(&mut self) -> Vec<Value> {
        let added = std::mem::take(&mut self.initial);
        let mut events: Vec<Value> =
            added.iter().map(|object| self.event("ADDED", object)).collect();
        if self.marks_initial_end {
            let mut bookmark = self.bookmark();
            bookmark["object"]["metadata"]["annotations"] =
                json!({ "k8s.io/initial-events-end": "true" });
            events.push(bookmark);
        }
        events
    }

    /// The events that happened since. An error means that it lost its place and ends.
    pub fn next(&mut self, store: &Store) -> Result<Vec<Value>, Value> {
        if self.seen < store.compacted() {
            let why =
                format!("too old resource version: {} ({})", self.seen, store.compacted() + 1);
            return Err(json!({ "type": "ERROR", "object": Failure::expired(why).body() }));
        }
        let events = store.since(self.seen).iter().filter_map(|version| self.deliver(version));
        let events = events.collect();
        self.seen = store.revision();
        Ok(events)
    }

    /// How far it got.
    pub fn bookmark(&self) -> Value {
        let (kind, version) = match self.view {
            View::Whole => (self.kind.kind.clone(), self.kind.api_version()),
            View::Metadata => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        let metadata =
            json!({ "resourceVersion": self.seen.to_string(), "creationTimestamp": null });
        json!({
            "type": "BOOKMARK",
            "object": { "kind": kind, "apiVersion": version, "metadata": metadata },
        })
    }

    fn deliver(&self, version: &Version) -> Option<Value> {
        if *version.collection != *self.collection
            || self.namespace.as_ref().is_some_and(|wanted| *wanted != version.namespace)
        {
            return None;
        }
        let before = version.previous.as_ref().filter(|object| self.selection.selects(object));
        let after = (version.change != Change::Deleted && self.selection.selects(&version.object))
            .then_some(&version.object);
        match (before, after) {
            (None, None) => None,
            (None, Some(now)) => Some(self.event("ADDED", now)),
            (Some(_), Some(now)) => Some(self.event("MODIFIED", now)),
            (Some(last), None) => {
                // As it last was when it was selected, under the revision of its leaving.
                let mut event = self.event("DELETED", last);
                event["object"]["metadata"]["resourceVersion"] =
                    version.revision.to_string().into();
                Some(event)
            }
        }
    }

    fn event(&self, kind: &str, object: &Value) -> Value {
        json!({ "type": kind, "object": self.view.show(object) })
    }
}
