//! Drops what the schema does not know, and nulls where none may be; fills in defaults.

use serde_json::Value;

use super::node::Node;

/// The fields of an object that its schema does not list and the server keeps all the same.
const OWN: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// A whole object.
pub fn root(node: &Node, object: &mut Value) {
    let Value::Object(fields) = object else {
        return;
    };
    let kept: Vec<(&str, Value)> =
        OWN.iter().filter_map(|name| Some((*name, fields.remove(*name)?))).collect();
    value(node, object);
    let Value::Object(fields) = object else {
        return;
    };
    for name in OWN {
        fields.remove(name);
    }
    fields.extend(kept.into_iter().map(|(name, value)| (name.to_owned(), value)));
}

/// One value.
pub fn value(node: &Node, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let known = |name: &str| node.properties.contains_key(name);
            if !node.open && node.additional.is_none() {
                fields.retain(|name, _| known(name));
            }
            let schema_of = |name: &str| node.properties.get(name).or(node.additional.as_deref());
            fields.retain(|name, field| {
                !field.is_null() || schema_of(name).is_none_or(|schema| schema.nullable)
            });
            for (name, schema) in &node.properties {
                if let (false, Some(default)) = (fields.contains_key(name), &schema.default) {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, field) in fields.iter_mut() {
                if let Some(schema) = schema_of(name) {
                    self::value(schema, field);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                if let Some(schema) = &node.items {
                    self::value(schema, item);
                }
            }
        }
        _ => {}
    }
}
