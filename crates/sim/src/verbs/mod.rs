//! What the server does for each verb. All of it is one step, under one lock: like a transaction
//! of etcd, it happens at once or not at all.

mod create;
mod delete;
mod patch;
mod read;
mod reviews;
mod update;

use std::sync::Arc;

use duckworker_faults::Verb;
use serde_json::Value;

pub use delete::{DeleteOptions, FOREGROUND, Fate, ORPHAN};
pub use reviews::review;
pub use update::Part;

use crate::chance::Chance;
use crate::clock::SimClock;
use crate::failure::Failure;
use crate::kinds::{Kind, Kinds};
use crate::meta;
use crate::request::Request;
use crate::store::{Key, Stamp, Store};
use crate::watch::Subscription;

/// The API server.
#[derive(Debug)]
pub struct Server {
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) store: Store,
    pub(crate) clock: SimClock,
    pub(crate) chance: Chance,
}

/// What a request is answered with.
#[derive(Debug)]
pub enum Reply {
    /// A code and a body.
    Json(u16, Value),
    /// A stream.
    Watch(Box<Subscription>),
}

/// One object, and who wants something of it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its kind.
    pub kind: Arc<Kind>,
    /// Namespace and name.
    pub key: Key,
    /// The user.
    pub by: Arc<str>,
}

impl Target {
    /// The name.
    pub fn name(&self) -> &str {
        &self.key.1
    }
}

impl Server {
    /// An empty server.
    pub fn new(kinds: Arc<Kinds>, seed: u64) -> Self {
        let (store, clock) = (Store::default(), SimClock::start());
        Self { kinds, store, clock, chance: Chance::new(seed, "server") }
    }

    /// Answers a request.
    pub fn answer(&mut self, request: &Request) -> Result<Reply, Failure> {
        if request.kind.namespaced && request.namespace.is_none() && !request.name.is_empty() {
            return Err(Failure::no_such_path());
        }
        if !matches!(request.subresource.as_str(), "" | "status")
            || (request.subresource == "status" && !request.kind.rules.status)
        {
            return Err(Failure::no_such_path());
        }
        match request.verb {
            Verb::Get => self.get(request),
            Verb::List => self.list(request),
            Verb::Watch => self.watch(request),
            Verb::Create => self.post(request),
            Verb::Update => self.put(request),
            Verb::Patch => self.patch(request),
            Verb::Delete => self.delete_one(request),
            Verb::DeleteCollection => self.delete_all(request),
        }
    }

    fn target(request: &Request) -> Target {
        Target {
            kind: Arc::clone(&request.kind),
            key: (request.namespace.clone().unwrap_or_default(), request.name.clone()),
            by: request.user.author(),
        }
    }

    fn stamp(&self, by: &Arc<str>) -> Stamp {
        Stamp { by: Arc::clone(by), at: self.clock.now() }
    }

    /// Reads the object of a body and holds it against the place that the request names.
    fn decode(request: &Request, mut object: Value) -> Result<Value, Failure> {
        let kind = &request.kind;
        if !object.is_object() {
            return Err(Failure::bad_request("the object provided is unrecognized"));
        }
        Self::same_type(kind, &object)?;
        meta::map(&mut object).insert("apiVersion".into(), kind.api_version().into());
        meta::map(&mut object).insert("kind".into(), kind.kind.clone().into());
        if let Some(retype) = kind.retype {
            object = retype(object).map_err(|error| Failure::bad_request(error.to_string()))?;
        }
        crate::admission::metadata::tidy(&mut object);
        let home = request.namespace.as_deref();
        match meta::text(&object, "namespace") {
            Some(namespace) if Some(namespace) != home => {
                return Err(Failure::bad_request(
                    "the namespace of the provided object does not match the namespace sent on \
                     the request",
                ));
            }
            _ => {}
        }
        if let Some(home) = home {
            meta::set(&mut object, "namespace", home);
        }
        if let Some(schema) = &kind.schema {
            schema.fill(&mut object);
        }
        Ok(object)
    }

    fn same_type(kind: &Kind, object: &Value) -> Result<(), Failure> {
        let wanted = [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())];
        for (field, wanted) in wanted {
            match object.get(field).and_then(Value::as_str) {
                Some(found) if found == wanted => {}
                None | Some("") if !kind.is_custom() => {}
                found => {
                    return Err(Failure::bad_request(format!(
                        "the {field} in the data ({}) does not match the expected ({wanted})",
                        found.unwrap_or_default()
                    )));
                }
            }
        }
        Ok(())
    }
}
