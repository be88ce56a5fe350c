//! PUT, of an object or of its status; and what PATCH shares with it.

use std::sync::Arc;

use serde_json::Value;

use super::{Reply, Server, Target};
use crate::admission::metadata;
use crate::builtin;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::meta;
use crate::request::Request;

/// Which part of an object a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but the status.
    Main,
    /// The status alone.
    Status,
}

impl Part {
    /// The part that a request is for.
    pub fn of(request: &Request) -> Self {
        if request.subresource == "status" { Self::Status } else { Self::Main }
    }
}

impl Server {
    pub(super) fn put(&mut self, request: &Request) -> Result<Reply, Failure> {
        let mut object = Self::decode(request, request.json()?)?;
        match meta::text(&object, "name") {
            Some(name) if name == request.name => {}
            Some(name) => {
                return Err(Failure::bad_request(format!(
                    "the name of the object ({name}) does not match the name on the URL ({})",
                    request.name
                )));
            }
            None => {
                return Err(Failure::bad_request(format!(
                    "the name of the object (based on URL {}) was undeterminable: name must be \
                     provided",
                    request.name
                )));
            }
        }
        let target = Self::target(request);
        let (kind, key) = (&target.kind, &target.key);
        let existing = self.store.get(&kind.qualified(), key).map(|e| Arc::clone(&e.object));
        // The uid is judged first. Where a PUT may create, that is so even if nothing is there.
        if let Some(wanted) = meta::text(&object, "uid")
            && (existing.is_some() || kind.rules.create_on_update)
        {
            let found = existing.as_ref().and_then(|old| meta::text(old, "uid")).unwrap_or("");
            if wanted != found {
                return Err(Failure::other_uid(kind, key, wanted, found));
            }
        }
        let Some(old) = existing else {
            let creates = kind.rules.create_on_update && request.subresource.is_empty();
            if creates {
                // Whatever version it was made of: a PUT that may create does not look.
                meta::unset(&mut object, "resourceVersion");
                let stored = self.create(&target, object)?;
                return Ok(Reply::Json(201, request.view.show(&stored)));
            }
            return Err(Failure::not_found(kind, &request.name));
        };
        let stored = self.replace(&target, Part::of(request), &old, object)?;
        Ok(Reply::Json(200, request.view.show(&stored)))
    }

    /// Replaces a part of an object.
    pub fn replace(
        &mut self,
        target: &Target,
        part: Part,
        old: &Arc<Value>,
        mut new: Value,
    ) -> Result<Arc<Value>, Failure> {
        let kind = &target.kind;
        check_version(kind, target.name(), old, &new)?;
        match part {
            Part::Main => prepare_main(kind, &mut new, old),
            Part::Status => prepare_status(&mut new, old),
        }
        meta::set(&mut new, "resourceVersion", old["metadata"]["resourceVersion"].clone());
        let mut causes = metadata::check(&new);
        causes.extend(metadata::check_change(&new, old));
        causes.extend(builtin::check_change(kind, &new, old));
        if let Some(schema) = &kind.schema {
            causes.extend(schema.check(&new, Some(old)));
        }
        if !causes.is_empty() {
            return Err(Failure::invalid(kind, target.name(), causes));
        }
        Ok(self.write(target, old, new))
    }

    /// Stores a checked replacement, unless it changes nothing or lets the object go.
    fn write(&mut self, target: &Target, old: &Arc<Value>, new: Value) -> Arc<Value> {
        let (collection, stamp) = (target.kind.qualified(), self.stamp(&target.by));
        let grace = meta::number(&new, "deletionGracePeriodSeconds").unwrap_or(0);
        if meta::is_deleting(&new) && grace == 0 && meta::finalizers(&new).is_empty() {
            // A namespace has its finalizers in its spec.
            if target.kind.plural != "namespaces" {
                self.store.remove(&collection, &target.key, stamp);
                return Arc::new(new);
            }
        }
        let undefaulted =
            self.store.get(&collection, &target.key).is_some_and(|entry| entry.undefaulted);
        if new == **old && !undefaulted {
            return Arc::clone(old);
        }
        self.store.put(&collection, target.key.clone(), new, false, stamp)
    }
}

fn check_version(kind: &Kind, name: &str, old: &Value, new: &Value) -> Result<(), Failure> {
    match meta::text(new, "resourceVersion") {
        None if kind.rules.unconditional_update => Ok(()),
        None => Err(Failure::no_version(kind, name)),
        version if version == meta::text(old, "resourceVersion") => Ok(()),
        Some(_) => Err(Failure::stale(kind, name)),
    }
}

/// The status stays as stored; the generation counts changes of all else but metadata.
fn prepare_main(kind: &Kind, new: &mut Value, old: &Value) {
    metadata::inherit(new, old);
    if kind.rules.status {
        meta::copy(old, new, "status");
    }
    builtin::inherit(kind, new, old);
    if kind.rules.generation && !same_but_metadata(new, old) {
        let generation = meta::number(old, "generation").unwrap_or(0) + 1;
        meta::set(new, "generation", generation);
    }
}

/// All but the status stays as stored.
fn prepare_status(new: &mut Value, old: &Value) {
    let status = meta::map(new).remove("status");
    *new = old.clone();
    match status {
        Some(status) => meta::map(new).insert("status".to_owned(), status),
        None => meta::map(new).remove("status"),
    };
}

fn same_but_metadata(one: &Value, other: &Value) -> bool {
    let rest = |object: &Value| {
        let mut object = object.clone();
        meta::map(&mut object).remove("metadata");
        object
    };
    rest(one) == rest(other)
}
