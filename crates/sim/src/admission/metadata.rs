//! What the server checks of any object's metadata.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::failure::Cause;
use crate::meta;

/// The fields that the server alone writes.
const SERVERS_OWN: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

/// Every field of the metadata that there is; others are dropped.
const KNOWN: [&str; 13] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
];

static SUBDOMAIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$").ok()
});
static LABEL_VALUE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$").ok());
static LABEL_NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    )
    .ok()
});

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Drops what the server does not know, and empty values.
pub fn tidy(object: &mut Value) {
    let metadata = meta::of(object);
    metadata.retain(|name, value| KNOWN.contains(&name.as_str()) && !is_nothing(value));
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Drops what a client may not say of a new object.
pub fn reset(object: &mut Value) {
    let metadata = meta::of(object);
    for field in SERVERS_OWN {
        metadata.remove(field);
    }
}

/// Fills in what a client may leave out of a replacement, and what is not the client's.
pub fn inherit(new: &mut Value, old: &Value) {
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let missing = new["metadata"].get(field).is_none();
        if let (true, Some(value)) = (missing, old["metadata"].get(field)) {
            meta::set(new, field, value.clone());
        }
    }
    match old["metadata"].get("generation") {
        Some(generation) => meta::set(new, "generation", generation.clone()),
        None => meta::unset(new, "generation"),
    }
}

/// What is wrong with the metadata.
pub fn check(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = meta::text(object, "name").unwrap_or_default();
    if name.len() > 253 || !matches(&SUBDOMAIN, name) {
        let why = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                   characters, '-' or '.', and must start and end with an alphanumeric character \
                   (e.g. 'example.com', regex used for validation is \
                   '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
        causes.push(Cause::invalid("metadata.name", &name.into(), why));
    }
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        if !matches(&LABEL_NAME, key) {
            let why = "name part must consist of alphanumeric characters, '-', '_' or '.'";
            causes.push(Cause::invalid("metadata.labels", &key.as_str().into(), why));
        }
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 || !matches(&LABEL_VALUE, text) {
            let why = "a valid label must be an empty string or consist of alphanumeric \
                       characters, '-', '_' or '.', and must start and end with an alphanumeric \
                       character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
                       validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
            causes.push(Cause::invalid("metadata.labels", value, why));
        }
    }
    for finalizer in meta::finalizers(object) {
        if !matches(&LABEL_NAME, &finalizer) {
            let why = "name part must consist of alphanumeric characters, '-', '_' or '.'";
            causes.push(Cause::invalid("metadata.finalizers", &json!(finalizer), why));
        }
    }
    causes.extend(check_owners(object));
    causes
}

fn check_owners(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let owners = meta::owners(object);
    for (index, owner) in owners.iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().is_none_or(str::is_empty) {
                let path = format!("metadata.ownerReferences[{index}].{field}");
                causes.push(Cause::invalid(path, &json!(""), "must not be empty"));
            }
        }
    }
    if owners.iter().filter(|owner| owner["controller"] == true).count() > 1 {
        let why = "Only one reference can have Controller set to true.";
        causes.push(Cause::invalid("metadata.ownerReferences", &json!(owners), why));
    }
    causes
}

/// What is wrong with a change of metadata.
pub fn check_change(new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let (now, before) = (new["metadata"].get(field), old["metadata"].get(field));
        if now != before {
            let shown = now.unwrap_or(&Value::Null);
            causes.push(Cause::invalid(format!("metadata.{field}"), shown, "field is immutable"));
        }
    }
    if meta::is_deleting(old) {
        let before = meta::finalizers(old);
        let added: Vec<String> =
            meta::finalizers(new).into_iter().filter(|f| !before.contains(f)).collect();
        if !added.is_empty() {
            let quoted: Vec<String> = added.iter().map(|f| format!("{f:?}")).collect();
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new \
                 finalizers []string{{{}}}",
                quoted.join(", ")
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    causes
}
