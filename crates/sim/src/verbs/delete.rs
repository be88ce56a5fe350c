//! DELETE: preconditions, grace, finalizers, propagation.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Reply, Server, Target};
use crate::clock;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::meta;
use crate::request::Request;

/// The finalizer by which the garbage collector deletes the dependents first.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer by which the garbage collector lets the dependents go.
pub const ORPHAN: &str = "orphan";

/// What a DELETE says.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Only the object of this uid.
    pub uid: Option<String>,
    /// Only this version.
    pub resource_version: Option<String>,
    /// How long a pod may take.
    pub grace: Option<i64>,
    /// Background, Foreground or Orphan.
    pub propagation: Option<String>,
}

impl DeleteOptions {
    fn parse(request: &Request) -> Result<Self, Failure> {
        let body = if request.body.is_empty() { json!({}) } else { request.json()? };
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let query = |name: &str| Some(request.param(name).to_owned()).filter(|p| !p.is_empty());
        Ok(Self {
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
            grace: body["gracePeriodSeconds"]
                .as_i64()
                .or_else(|| query("gracePeriodSeconds")?.parse().ok()),
            propagation: text("/propagationPolicy").or_else(|| query("propagationPolicy")),
        })
    }

    fn check(&self, kind: &Kind, name: &str, object: &Value) -> Result<(), Failure> {
        let found = |field| meta::text(object, field).unwrap_or_default();
        if let Some(wanted) = self.uid.as_deref().filter(|wanted| *wanted != found("uid")) {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({}). \
                 The object might have been deleted and then recreated",
                found("uid")
            );
            return Err(Failure::precondition(kind, name, &why));
        }
        let version = found("resourceVersion");
        if let Some(wanted) = self.resource_version.as_deref().filter(|wanted| *wanted != version) {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the \
                 ResourceVersion in record ({version}). The object might have been modified"
            );
            return Err(Failure::precondition(kind, name, &why));
        }
        Ok(())
    }
}

/// What became of an object.
#[derive(Debug)]
pub enum Fate {
    /// It is still there, and will go.
    Goes(Arc<Value>),
    /// It is gone.
    Gone(Arc<Value>),
}

/// What grace a pod's deletion has.
enum Grace {
    /// None: the kind knows none.
    Unknown,
    /// The object goes at a set time already.
    Pending,
    /// So many seconds from now on.
    Set(i64),
}

impl Server {
    pub(super) fn delete_one(&mut self, request: &Request) -> Result<Reply, Failure> {
        let target = Self::target(request);
        let fate = self.delete(&target, &DeleteOptions::parse(request)?)?;
        let kind = &target.kind;
        match fate {
            Fate::Gone(last) if !kind.rules.returns_deleted => {
                let mut details = json!({
                    "name": request.name, "kind": kind.plural, "uid": last["metadata"]["uid"]
                });
                if !kind.group.is_empty() {
                    details["group"] = kind.group.clone().into();
                }
                let body = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": details,
                });
                Ok(Reply::Json(200, body))
            }
            Fate::Gone(object) | Fate::Goes(object) => {
                Ok(Reply::Json(200, request.view.show(&object)))
            }
        }
    }

    pub(super) fn delete_all(&mut self, request: &Request) -> Result<Reply, Failure> {
        let (options, selection) = (DeleteOptions::parse(request)?, request.selection()?);
        let kind = &request.kind;
        let mut items = Vec::new();
        for (key, object) in self.store.list(&kind.qualified(), request.namespace.as_deref()) {
            if selection.selects(&object) {
                let target = Target { key, ..Self::target(request) };
                self.delete(&target, &options)?;
                items.push(object);
            }
        }
        let metadata = json!({ "resourceVersion": self.store.revision().to_string() });
        Ok(Reply::Json(200, request.view.list(kind, &items, &metadata)))
    }

    /// Deletes an object, or marks it as going.
    pub fn delete(&mut self, target: &Target, options: &DeleteOptions) -> Result<Fate, Failure> {
        let (kind, key) = (&target.kind, &target.key);
        let collection = kind.qualified();
        let Some(entry) = self.store.get(&collection, key) else {
            return Err(Failure::not_found(kind, target.name()));
        };
        let old = Arc::clone(&entry.object);
        options.check(kind, target.name(), &old)?;
        if kind.plural == "namespaces" {
            return Ok(Fate::Goes(self.end_namespace(target, &old)));
        }
        let grace = if kind.rules.graceful { grace(&old, options.grace) } else { Grace::Unknown };
        if matches!(grace, Grace::Pending) {
            return Ok(Fate::Goes(old));
        }
        let mut new = Value::clone(&old);
        let finalizers = propagate(meta::finalizers(&old), options.propagation.as_deref());
        meta::set_finalizers(&mut new, &finalizers);
        let now = self.clock.now();
        let mut remaining = 0;
        if let Grace::Set(seconds) = grace {
            set_deadline(&mut new, &old, seconds, now);
            remaining = seconds;
        } else if !finalizers.is_empty() {
            mark(&mut new, now);
        }
        let stamp = self.stamp(&target.by);
        let written = if new == *old {
            old
        } else {
            self.store.put(&collection, key.clone(), new, false, stamp.clone())
        };
        if !finalizers.is_empty() || remaining > 0 {
            return Ok(Fate::Goes(written));
        }
        let last = self.store.remove(&collection, key, stamp);
        Ok(Fate::Gone(last.unwrap_or(written)))
    }

    /// A namespace is emptied first, by its controller.
    fn end_namespace(&mut self, target: &Target, old: &Arc<Value>) -> Arc<Value> {
        if meta::is_deleting(old) {
            return Arc::clone(old);
        }
        let mut new = Value::clone(old);
        meta::set(&mut new, "deletionTimestamp", self.clock.stamp());
        meta::field(&mut new, "status").insert("phase".into(), "Terminating".into());
        let stamp = self.stamp(&target.by);
        self.store.put("namespaces", target.key.clone(), new, false, stamp)
    }
}

fn grace(old: &Value, asked: Option<i64>) -> Grace {
    if meta::is_deleting(old) {
        return match (meta::number(old, "deletionGracePeriodSeconds"), asked) {
            (None, _) => Grace::Unknown,
            (Some(before), Some(period)) if period < before => Grace::Set(period),
            _ => Grace::Pending,
        };
    }
    let at = |pointer: &str| old.pointer(pointer);
    let own = at("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    let period = asked.or(own).unwrap_or(30);
    let bound = at("/spec/nodeName").and_then(Value::as_str).is_some_and(|node| !node.is_empty());
    let over = matches!(at("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed"));
    match period {
        _ if !bound || over => Grace::Set(0),
        period if period < 0 => Grace::Set(1),
        period => Grace::Set(period),
    }
}

/// Sets or shortens the time at which the object may be removed.
fn set_deadline(new: &mut Value, old: &Value, seconds: i64, now: Timestamp) {
    let before = meta::text(old, "deletionTimestamp").and_then(|at| at.parse::<Timestamp>().ok());
    if before.is_none() {
        count_deletion(new);
    }
    let grace = SignedDuration::from_secs(number_or_zero(old, "deletionGracePeriodSeconds"));
    let start = before.and_then(|deadline| deadline.checked_sub(grace).ok()).unwrap_or(now);
    let deadline = start.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
    meta::set(new, "deletionTimestamp", clock::stamp(deadline));
    meta::set(new, "deletionGracePeriodSeconds", seconds);
}

fn number_or_zero(object: &Value, field: &str) -> i64 {
    meta::number(object, field).unwrap_or(0)
}

/// Marks an object that only finalizers keep.
fn mark(new: &mut Value, now: Timestamp) {
    if meta::number(new, "deletionGracePeriodSeconds").is_none() {
        count_deletion(new);
    }
    if !meta::is_deleting(new) {
        meta::set(new, "deletionTimestamp", clock::stamp(now));
    }
    meta::set(new, "deletionGracePeriodSeconds", 0);
}

/// Being told to go is a change that the generation counts.
fn count_deletion(object: &mut Value) {
    if let Some(generation) = meta::number(object, "generation").filter(|g| *g > 0) {
        meta::set(object, "generation", generation + 1);
    }
}

/// The garbage collector's finalizers, as a propagation policy wants them.
fn propagate(finalizers: Vec<String>, policy: Option<&str>) -> Vec<String> {
    let Some(policy) = policy else {
        return finalizers;
    };
    let mut kept: Vec<String> =
        finalizers.into_iter().filter(|f| f != FOREGROUND && f != ORPHAN).collect();
    match policy {
        "Orphan" => kept.push(ORPHAN.to_owned()),
        "Foreground" => kept.push(FOREGROUND.to_owned()),
        _ => {}
    }
    kept
}
