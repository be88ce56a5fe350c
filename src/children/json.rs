//! Edits of a template's JSON that keep what this version does not know.
//!
//! `null` counts as silence everywhere, as it does for the API server.

use serde_json::{Map, Value};

use super::BuildError;

/// A JSON object.
pub type Object = Map<String, Value>;

/// Sets a member that the template is silent about.
pub fn where_silent(object: &mut Object, key: &str, value: impl Into<Value>) {
    if is_silent(object, key) {
        object.insert(key.to_owned(), value.into());
    }
}

/// The template says nothing about it.
pub fn is_silent(object: &Object, key: &str) -> bool {
    object.get(key).is_none_or(Value::is_null)
}

/// The object of this name, made empty where the template is silent.
pub fn object_in<'a>(
    parent: &'a mut Object,
    key: &'static str,
) -> Result<&'a mut Object, BuildError> {
    where_silent(parent, key, Object::new());
    parent.get_mut(key).and_then(Value::as_object_mut).ok_or(BuildError::Malformed(key))
}

/// The list of this name, made empty where the template is silent.
pub fn list_in<'a>(
    parent: &'a mut Object,
    key: &'static str,
) -> Result<&'a mut Vec<Value>, BuildError> {
    where_silent(parent, key, Vec::<Value>::new());
    parent.get_mut(key).and_then(Value::as_array_mut).ok_or(BuildError::Malformed(key))
}

/// The objects of the list of this name; none where the template is silent.
pub fn objects_in<'a>(
    parent: &'a mut Object,
    key: &'static str,
) -> impl Iterator<Item = &'a mut Object> {
    let list = parent.get_mut(key).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}
