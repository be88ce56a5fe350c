//! PATCH: merge patches and JSON patches. Strategic ones are taken as merge patches, which is the
//! same for what Duckworker patches; server-side apply is not simulated.

use std::sync::Arc;

use serde_json::Value;

use super::update::Part;
use super::{Reply, Server};
use crate::failure::Failure;
use crate::meta;
use crate::request::Request;

impl Server {
    pub(super) fn patch(&mut self, request: &Request) -> Result<Reply, Failure> {
        let target = Self::target(request);
        let kind = &target.kind;
        let Some(entry) = self.store.get(&kind.qualified(), &target.key) else {
            return Err(Failure::not_found(kind, &request.name));
        };
        let old = Arc::clone(&entry.object);
        let patched = Self::decode(request, Patch::parse(request)?.apply(&old)?)?;
        if meta::text(&patched, "name") != Some(request.name.as_str()) {
            return Err(Failure::bad_request(format!(
                "the name of the object does not match the name on the URL ({})",
                request.name
            )));
        }
        let stored = self.replace(&target, Part::of(request), &old, patched)?;
        Ok(Reply::Json(200, request.view.show(&stored)))
    }
}

enum Patch {
    Merge(Value),
    Json(json_patch::Patch),
}

impl Patch {
    fn parse(request: &Request) -> Result<Self, Failure> {
        match request.content_type.as_str() {
            "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
                let patch = request.json()?;
                if !patch.is_object() {
                    return Err(Failure::bad_request("the patch is not an object"));
                }
                Ok(Self::Merge(patch))
            }
            "application/json-patch+json" => {
                let patch = serde_json::from_value(request.json()?);
                patch.map(Self::Json).map_err(|error| Failure::bad_request(error.to_string()))
            }
            _ => Err(Failure::unsupported_media()),
        }
    }

    fn apply(&self, old: &Value) -> Result<Value, Failure> {
        let mut object = old.clone();
        match self {
            Self::Merge(patch) => json_patch::merge(&mut object, patch),
            Self::Json(patch) => {
                json_patch::patch(&mut object, patch).map_err(|_| Failure::unprocessable())?;
            }
        }
        Ok(object)
    }
}
