//! Custom resources: a CRD becomes a kind.

use std::fmt;

use duckworker_api::crd;
use serde_json::Value;

use super::{Kind, Rules};
use crate::admission::CustomSchema;

/// The CRD has no served version with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchSchema(String);

impl fmt::Display for NoSuchSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the CRD {} has no served version with a schema", self.0)
    }
}

impl std::error::Error for NoSuchSchema {}

/// The CRDs of `duckworker.dev`, as they are installed.
pub fn ours() -> Vec<Value> {
    // The tests of duckworker-api exclude the error, those of this crate count the kinds.
    crd::all().unwrap_or_default()
}

/// Makes a kind of a CRD.
pub fn kind(crd: &Value) -> Result<Kind, NoSuchSchema> {
    let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let none = || NoSuchSchema(text("/metadata/name").to_owned());
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array).ok_or_else(none)?;
    let version = versions.iter().find(|version| version["served"] == true).ok_or_else(none)?;
    let schema = version.pointer("/schema/openAPIV3Schema").ok_or_else(none)?;
    Ok(Kind {
        group: text("/spec/group").to_owned(),
        version: version["name"].as_str().unwrap_or_default().to_owned(),
        plural: text("/spec/names/plural").to_owned(),
        kind: text("/spec/names/kind").to_owned(),
        namespaced: text("/spec/scope") == "Namespaced",
        rules: Rules {
            status: version.pointer("/subresources/status").is_some(),
            generation: true,
            ..Rules::default()
        },
        retype: None,
        selectable: selectable(version),
        schema: Some(CustomSchema::new(schema.clone())),
    })
}

/// `.status.state` of the CRD is `status.state` in a selector.
fn selectable(version: &Value) -> Vec<String> {
    let fields = version["selectableFields"].as_array().into_iter().flatten();
    let paths = fields.filter_map(|field| field["jsonPath"].as_str());
    paths.map(|path| path.trim_start_matches('.').to_owned()).collect()
}
