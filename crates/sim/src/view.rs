//! How an object is shown: whole, or its metadata alone.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::Kind;

/// What the client wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The object.
    Whole,
    /// A `PartialObjectMetadata`.
    Metadata,
}

impl View {
    /// Reads the header `Accept`.
    pub fn parse(accept: &str) -> Self {
        if accept.contains("as=PartialObjectMetadata") { Self::Metadata } else { Self::Whole }
    }

    /// One object.
    pub fn show(self, object: &Value) -> Value {
        match self {
            Self::Whole => object.clone(),
            Self::Metadata => json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"],
            }),
        }
    }

    /// A list.
    pub fn list(self, kind: &Kind, items: &[Arc<Value>], metadata: &Value) -> Value {
        let mut metadata = metadata.clone();
        if kind.is_custom() && self == Self::Whole && metadata.get("continue").is_none() {
            metadata["continue"] = "".into();
        }
        // The real server's lists of metadata are null where they are empty.
        let empty = items.is_empty() && self == Self::Metadata;
        let items: Vec<Value> = items.iter().map(|item| self.item(kind, item)).collect();
        let items = if empty { Value::Null } else { items.into() };
        let (list_kind, version) = match self {
            Self::Whole => (format!("{}List", kind.kind), kind.api_version()),
            Self::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        json!({ "kind": list_kind, "apiVersion": version, "metadata": metadata, "items": items })
    }

    /// One object in a list: the built-in kinds do not say what they are there.
    fn item(self, kind: &Kind, object: &Value) -> Value {
        let mut item = self.show(object);
        if let (Self::Whole, false, Value::Object(fields)) = (self, kind.is_custom(), &mut item) {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        item
    }
}
