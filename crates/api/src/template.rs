//! A pod template, kept as the JSON that the user wrote.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::labels::DUCKDB_CONTAINER;

/// A whole `PodTemplateSpec`. The API server validates its shape; we keep it as JSON, so that a
/// field newer than our types reaches the pod.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodTemplate(Value);

impl PodTemplate {
    /// Wraps a template.
    pub const fn new(template: Value) -> Self {
        Self(template)
    }

    /// The JSON.
    pub const fn as_json(&self) -> &Value {
        &self.0
    }

    /// As the type that this version knows.
    ///
    /// # Errors
    /// When the JSON is no pod template, which the API server's schema refuses.
    pub fn typed(&self) -> Result<PodTemplateSpec, serde_json::Error> {
        serde_json::from_value(self.0.clone())
    }

    /// The image of the container `duckdb`: the worker's version.
    pub fn image(&self) -> Option<&str> {
        if let Value::String(image) = &self.0 {
            return Some(image);
        }
        self.0
            .pointer("/spec/containers")?
            .as_array()?
            .iter()
            .find(|c| c["name"] == DUCKDB_CONTAINER)?
            .get("image")?
            .as_str()
    }

    /// The same with another image of the container `duckdb`.
    #[must_use]
    pub fn with_image(mut self, image: &str) -> Self {
        let containers = self.0.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter(|c| c["name"] == DUCKDB_CONTAINER)
        {
            container["image"] = image.into();
        }
        self
    }

    /// Drops everything but the image: what a cache needs of a worker that has its pod. What is left
    /// is the bare image, since the maps around it would take two kilobytes; no pod is made of it.
    pub fn trim(&mut self) {
        self.0 = self.image().map_or(Value::Null, Value::from);
    }
}

impl JsonSchema for PodTemplate {
    fn schema_name() -> Cow<'static, str> {
        PodTemplateSpec::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PodTemplateSpec::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_trimmed_template_the_image_is_left() {
        for image in [Some("duckdb:1"), None] {
            let mut template = PodTemplate::new(serde_json::json!({ "spec": {
                "containers": [{ "name": "side" }, { "name": DUCKDB_CONTAINER, "image": image }],
            } }));
            template.trim();
            assert_eq!(template.image(), image);
            // Whoever trims twice loses nothing.
            template.trim();
            assert_eq!(template.image(), image);
        }
    }
}
