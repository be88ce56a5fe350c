//! A request, parsed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use duckworker_faults::{Call, Verb};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use serde_json::Value;

use crate::failure::Failure;
use crate::kinds::{Kind, Kinds};
use crate::select::Selection;
use crate::user::User;
use crate::view::View;

/// A request for objects of a kind.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it wants.
    pub verb: Verb,
    /// The kind.
    pub kind: Arc<Kind>,
    /// The namespace; none for all, and for kinds that have none.
    pub namespace: Option<String>,
    /// The object, unless the request is for a collection.
    pub name: String,
    /// The subresource; empty for the object itself.
    pub subresource: String,
    /// The query.
    pub query: BTreeMap<String, String>,
    /// How to show objects.
    pub view: View,
    /// The media type of the body.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
    /// Who asks.
    pub user: Arc<User>,
}

impl Request {
    /// Parses a request.
    pub fn parse(
        kinds: &Kinds,
        parts: &Parts,
        body: Bytes,
        user: &Arc<User>,
    ) -> Result<Self, Failure> {
        let call = Call::of(&parts.method, &parts.uri, &body);
        let kind = kinds.get(&call.group, &call.resource).ok_or_else(Failure::no_such_path)?;
        let version = parts.uri.path().split('/').nth(if call.group.is_empty() { 2 } else { 3 });
        if version != Some(kind.version.as_str()) {
            return Err(Failure::no_such_path());
        }
        let header = |name: HeaderName| {
            let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self {
            verb: call.verb,
            kind: Arc::clone(kind),
            namespace: call.namespace,
            // A create's name is in its body, and is not taken from there.
            name: call.name.filter(|_| call.verb != Verb::Create).unwrap_or_default(),
            subresource: call.subresource.unwrap_or_default(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            view: View::parse(&header(ACCEPT)),
            content_type: header(CONTENT_TYPE),
            body,
            user: Arc::clone(user),
        })
    }

    /// A parameter; empty where there is none.
    pub fn param(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether a parameter is true.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.param(name), "true" | "1")
    }

    /// The selectors.
    pub fn selection(&self) -> Result<Selection, Failure> {
        Selection::parse(&self.kind, self.param("labelSelector"), self.param("fieldSelector"))
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::bad_request(format!("the object provided is unrecognized: {error}"))
        })
    }
}
