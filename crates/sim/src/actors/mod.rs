//! What a cluster has beside its API server, each a task that looks, waits a little, and acts by
//! what it saw: so whatever can happen in between, does.

pub mod collector;
pub mod kubelet;
pub mod namespaces;

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;
use crate::kinds::Kind;
use crate::store::Key;
use crate::verbs::Target;

/// How long an actor takes from its look to its act.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(200));

/// The kind of a collection and the target of one of its objects.
fn target(core: &Core, collection: &str, key: &Key, by: &str) -> Option<Target> {
    let (plural, group) = collection.split_once('.').unwrap_or((collection, ""));
    let kind: Option<Arc<Kind>> = core.step(|server| server.kinds.get(group, plural).cloned());
    Some(Target { kind: kind?, key: key.clone(), by: by.into() })
}
