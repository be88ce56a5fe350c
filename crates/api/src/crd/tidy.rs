//! What the API server wants spelled otherwise than schemars spells it.

use serde_json::{Number, Value};

/// Tidies a schema and everything below it.
pub(super) fn tidy(schema: &mut Value) {
    tidy_one(schema);
    for below in children(schema) {
        tidy(below);
    }
}

/// Removes every description at and below a schema: those of Kubernetes' own types are long, and
/// `kubectl apply` stores the whole CRD in an annotation of limited size.
pub(super) fn silence(schema: &mut Value) {
    if let Some(map) = schema.as_object_mut() {
        map.remove("description");
    }
    for below in children(schema) {
        silence(below);
    }
}

/// The schemas directly below a schema.
pub(super) fn children(schema: &mut Value) -> Vec<&mut Value> {
    let Some(map) = schema.as_object_mut() else { return Vec::new() };
    let mut found = Vec::new();
    for (key, value) in map {
        match (key.as_str(), value) {
            ("properties", Value::Object(fields)) => found.extend(fields.values_mut()),
            ("items" | "additionalProperties", below @ Value::Object(_)) => found.push(below),
            _ => {}
        }
    }
    found
}

fn tidy_one(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    map.remove("title");
    // A null then counts as not written, which lets defaults apply.
    map.remove("nullable");
    if map.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint")) {
        map.remove("format");
    }
    if map.get("x-kubernetes-int-or-string").is_some() {
        map.remove("type");
    }
    for limit in ["minimum", "maximum"] {
        if let Some(whole) = map.get(limit).and_then(whole_number) {
            map.insert(limit.to_owned(), Value::Number(whole));
        }
    }
    if let Some(Value::String(text)) = map.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
}

#[allow(clippy::cast_possible_truncation, reason = "limits are small whole numbers")]
fn whole_number(value: &Value) -> Option<Number> {
    let number = value.as_f64()?;
    (number.fract() == 0.0 && number.abs() < 9e15).then(|| Number::from(number as i64))
}
