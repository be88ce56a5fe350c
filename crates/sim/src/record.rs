//! The history of a simulation, as the checker reads it.

use std::sync::Arc;

use duckworker_history as history;
use serde_json::Value;

use crate::store::{Change, Version};

/// The versions of a history, a line each.
pub fn lines(versions: &[Arc<Version>]) -> Vec<history::Line> {
    versions.iter().map(|version| history::Line::Version(line(version))).collect()
}

fn line(version: &Version) -> history::Version {
    history::Version {
        revision: version.revision,
        at: version.at,
        change: match version.change {
            Change::Created => history::Change::Created,
            Change::Updated => history::Change::Updated,
            Change::Deleted => history::Change::Deleted,
        },
        collection: version.collection.to_string(),
        by: Some(version.by.to_string()),
        object: Value::clone(&version.object),
    }
}
