//! POST.

use std::sync::Arc;

use serde_json::Value;

use super::{Reply, Server, Target};
use crate::admission::{CustomSchema, metadata};
use crate::builtin;
use crate::failure::{Cause, Failure};
use crate::meta;
use crate::request::Request;

impl Server {
    pub(super) fn post(&mut self, request: &Request) -> Result<Reply, Failure> {
        if !request.subresource.is_empty() || !request.name.is_empty() {
            return Err(Failure::method_not_allowed());
        }
        let object = Self::decode(request, request.json()?)?;
        let target = Self::target(request);
        let stored = self.create(&target, object)?;
        Ok(Reply::Json(201, request.view.show(&stored)))
    }

    /// Creates an object; its name comes from its metadata.
    pub fn create(&mut self, target: &Target, mut object: Value) -> Result<Arc<Value>, Failure> {
        let kind = &target.kind;
        let namespace = &target.key.0;
        if meta::text(&object, "resourceVersion").is_some() {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(Failure::internal(why));
        }
        self.admit_into(target)?;
        metadata::reset(&mut object);
        let name = self.name(target, &mut object)?;
        if kind.rules.generation {
            meta::set(&mut object, "generation", 1);
        }
        meta::set(&mut object, "creationTimestamp", self.clock.stamp());
        meta::set(&mut object, "uid", self.chance.uid());
        if kind.rules.status {
            meta::map(&mut object).remove("status");
        }
        builtin::prepare(kind, &mut object);
        let mut causes = metadata::check(&object);
        causes.extend(builtin::check(kind, &object));
        if let Some(schema) = &kind.schema {
            causes.extend(schema.check(&object, None));
        }
        if !causes.is_empty() {
            return Err(Failure::invalid(kind, &name, causes));
        }
        let key = (namespace.clone(), name);
        if let Some(entry) = self.store.get(&kind.qualified(), &key) {
            return Err(Failure::already_exists(kind, &key.1, meta::is_deleting(&entry.object)));
        }
        let default = kind.schema.as_ref().filter(|_| kind.rules.status);
        let default = default.and_then(CustomSchema::default_status);
        let undefaulted = default.is_some();
        if let Some(status) = default {
            meta::map(&mut object).insert("status".to_owned(), status);
        }
        let stamp = self.stamp(&target.by);
        Ok(self.store.put(&kind.qualified(), key, object, undefaulted, stamp))
    }

    /// The name of a new object, made up if it only has a beginning.
    fn name(&mut self, target: &Target, object: &mut Value) -> Result<String, Failure> {
        if let Some(name) = meta::text(object, "name") {
            return Ok(name.to_owned());
        }
        let Some(beginning) = meta::text(object, "generateName") else {
            let cause = Cause::required("metadata.name", "name or generateName is required");
            return Err(Failure::invalid(&target.kind, "", vec![cause]));
        };
        let name = format!("{beginning}{}", self.chance.suffix());
        meta::set(object, "name", name.as_str());
        Ok(name)
    }

    /// Nothing is created in a namespace that is not there, or that goes.
    fn admit_into(&self, target: &Target) -> Result<(), Failure> {
        if !target.kind.namespaced {
            return Ok(());
        }
        let namespace = &target.key.0;
        let Some(namespaces) = self.kinds.get("", "namespaces") else {
            return Ok(());
        };
        let key = (String::new(), namespace.clone());
        let Some(home) = self.store.get("namespaces", &key) else {
            return Err(Failure::not_found(namespaces, namespace));
        };
        if meta::is_deleting(&home.object) {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being \
                 terminated"
            );
            let mut failure = Failure::forbidden(&target.kind, target.name(), &why);
            if let Some(details) = &mut failure.details {
                details["causes"] = serde_json::json!([{
                    "reason": "NamespaceTerminating",
                    "message": format!("namespace {namespace} is being terminated"),
                    "field": "metadata.namespace",
                }]);
            }
            return Err(failure);
        }
        Ok(())
    }
}
