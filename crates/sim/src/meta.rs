//! Objects are JSON; here is what the server reads and writes of their metadata.

use serde_json::{Map, Value, json};

/// A field of the metadata as text.
pub fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get("metadata")?.get(field)?.as_str().filter(|text| !text.is_empty())
}

/// A field of the metadata as a number.
pub fn number(object: &Value, field: &str) -> Option<i64> {
    object.get("metadata")?.get(field)?.as_i64()
}

/// The metadata, made if it is not there.
pub fn of(object: &mut Value) -> &mut Map<String, Value> {
    field(object, "metadata")
}

/// An object within an object, made if it is not there.
pub fn field<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    let slot = map(object).entry(name).or_insert_with(|| json!({}));
    map(slot)
}

/// A value as a map; anything else becomes an empty one.
pub fn map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Sets a field of the metadata.
pub fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    of(object).insert(field.to_owned(), value.into());
}

/// Removes a field of the metadata.
pub fn unset(object: &mut Value, field: &str) {
    of(object).remove(field);
}

/// Copies a field from one object to another, or removes it where the first has none.
pub fn copy(from: &Value, to: &mut Value, name: &str) {
    match from.get(name) {
        Some(value) => map(to).insert(name.to_owned(), value.clone()),
        None => map(to).remove(name),
    };
}

/// It was told to go.
pub fn is_deleting(object: &Value) -> bool {
    text(object, "deletionTimestamp").is_some()
}

/// The finalizers.
pub fn finalizers(object: &Value) -> Vec<String> {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|f| f.as_str().map(str::to_owned)).collect()
}

/// Sets the finalizers; none removes the field.
pub fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    if finalizers.is_empty() {
        unset(object, "finalizers");
    } else {
        set(object, "finalizers", json!(finalizers));
    }
}

/// The owner references.
pub fn owners(object: &Value) -> Vec<Value> {
    let list = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    list.cloned().unwrap_or_default()
}

/// Whether it has an owner reference to this uid.
pub fn is_owned_by(object: &Value, uid: &str) -> bool {
    owners(object).iter().any(|owner| owner["uid"] == uid)
}
