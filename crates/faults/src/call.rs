//! One API call, as far as faults and oracles care.

use std::fmt;

use http::Method;
use serde_json::Value;
use strum::{Display, IntoStaticStr};

/// What a call wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Display, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow a collection.
    Watch,
    /// Make an object.
    Create,
    /// Replace an object.
    Update,
    /// Change an object in part.
    Patch,
    /// Delete one object.
    Delete,
    /// Delete a collection.
    DeleteCollection,
}

impl Verb {
    /// It changes something.
    pub const fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// One API call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    /// What it wants to do.
    pub verb: Verb,
    /// The API group; empty for the core one.
    pub group: String,
    /// The plural name of the resource, `pods`; a whole path where it is no resource.
    pub resource: String,
    /// The subresource, `status`.
    pub subresource: Option<String>,
    /// The namespace, unless the call is for all of them or the resource has none.
    pub namespace: Option<String>,
    /// The object; for a create the name that its body gives.
    pub name: Option<String>,
}

impl Call {
    /// Reads a request.
    pub fn of(method: &Method, uri: &http::Uri, body: &[u8]) -> Self {
        let mut call = Self::target(uri.path());
        call.verb = verb(method, uri.query().unwrap_or_default(), call.name.is_some());
        if call.name.is_none() && call.verb == Verb::Create {
            call.name = serde_json::from_slice::<Value>(body).ok().and_then(|object| {
                object.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned)
            });
        }
        call
    }

    /// It changes something.
    pub const fn is_write(&self) -> bool {
        self.verb.is_write()
    }

    /// It has this verb and is for this resource, written `pods` or `duckworkers/status`.
    pub fn is(&self, verb: Verb, resource: &str) -> bool {
        self.verb == verb && self.what() == resource
    }

    /// Resource and subresource, `duckworkers/status`.
    pub fn what(&self) -> String {
        match &self.subresource {
            Some(sub) => format!("{}/{sub}", self.resource),
            None => self.resource.clone(),
        }
    }

    /// Takes a path apart: `/api/v1/…` or `/apis/<group>/<version>/…`.
    fn target(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, rest) = match parts.as_slice() {
            ["api", _version, rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => return Self::other(path),
        };
        let (namespace, rest) = match rest {
            // `/namespaces/<name>` and its status are the namespace itself.
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
            _ => (None, rest),
        };
        let Some((resource, rest)) = rest.split_first() else {
            return Self::other(path);
        };
        Self {
            verb: Verb::Get,
            group: group.to_owned(),
            resource: (*resource).to_owned(),
            subresource: rest.get(1).map(|_| rest[1..].join("/")),
            namespace,
            name: rest.first().map(|name| (*name).to_owned()),
        }
    }

    fn other(path: &str) -> Self {
        Self {
            verb: Verb::Get,
            group: String::new(),
            resource: path.to_owned(),
            subresource: None,
            namespace: None,
            name: None,
        }
    }
}

fn verb(method: &Method, query: &str, named: bool) -> Verb {
    let watches = query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
    match (method.as_str(), named) {
        ("POST", _) => Verb::Create,
        ("PUT", _) => Verb::Update,
        ("PATCH", _) => Verb::Patch,
        ("DELETE", true) => Verb::Delete,
        ("DELETE", false) => Verb::DeleteCollection,
        (_, _) if watches => Verb::Watch,
        (_, true) => Verb::Get,
        (_, false) => Verb::List,
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.what())?;
        match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => write!(f, " {namespace}/{name}"),
            (Some(namespace), None) => write!(f, " {namespace}/"),
            (None, Some(name)) => write!(f, " {name}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &Method, uri: &str, body: &str) -> String {
        Call::of(method, &uri.parse().unwrap(), body.as_bytes()).to_string()
    }

    #[test]
    fn paths_become_calls() {
        let pods = "/api/v1/namespaces/a/pods";
        let workers = "/apis/duckworker.dev/v1alpha1";
        assert_eq!(call(&Method::GET, pods, ""), "list pods a/");
        assert_eq!(call(&Method::GET, &format!("{pods}?&watch=true&x=y"), ""), "watch pods a/");
        assert_eq!(call(&Method::DELETE, &format!("{pods}/p?"), "{}"), "delete pods a/p");
        assert_eq!(
            call(&Method::POST, &format!("{pods}?"), r#"{"metadata":{"name":"new"}}"#),
            "create pods a/new"
        );
        assert_eq!(
            call(&Method::PUT, &format!("{workers}/namespaces/a/duckworkers/w/status?"), ""),
            "update duckworkers/status a/w"
        );
        assert_eq!(call(&Method::GET, &format!("{workers}/duckworkers"), ""), "list duckworkers");
        assert_eq!(call(&Method::GET, "/api/v1/namespaces/a", ""), "get namespaces a");
        assert_eq!(call(&Method::GET, "/version", ""), "list /version");
    }
}
