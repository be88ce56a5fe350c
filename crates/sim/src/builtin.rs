//! What the server knows of pods, secrets and namespaces in particular.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::failure::Cause;
use crate::kinds::Kind;
use crate::meta;

/// Fills in the defaults of a new object.
pub fn prepare(kind: &Kind, object: &mut Value) {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => prepare_pod(object),
        ("", "secrets") => prepare_secret(object),
        ("", "namespaces") => {
            meta::field(object, "spec").insert("finalizers".into(), json!(["kubernetes"]));
            meta::field(object, "status").insert("phase".into(), "Active".into());
        }
        _ => {}
    }
}

fn prepare_pod(pod: &mut Value) {
    let spec = meta::field(pod, "spec");
    for (field, default) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("schedulerName", json!("default-scheduler")),
    ] {
        spec.entry(field).or_insert(default);
    }
    meta::map(pod).insert("status".into(), json!({ "phase": "Pending" }));
}

fn prepare_secret(secret: &mut Value) {
    meta::map(secret).entry("type").or_insert_with(|| json!("Opaque"));
    let texts = meta::map(secret).remove("stringData");
    for (key, text) in texts.iter().filter_map(Value::as_object).flatten() {
        let encoded = STANDARD.encode(text.as_str().unwrap_or_default());
        meta::field(secret, "data").insert(key.clone(), encoded.into());
    }
}

/// Keeps what a replacement may leave out.
pub fn inherit(kind: &Kind, new: &mut Value, old: &Value) {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "secrets") => {
            prepare_secret(new);
        }
        ("", "namespaces") => meta::copy(old, new, "spec"),
        _ => {}
    }
}

/// What is wrong with a new object.
pub fn check(kind: &Kind, object: &Value) -> Vec<Cause> {
    let containers = object.pointer("/spec/containers").and_then(Value::as_array);
    if kind.plural == "pods" && kind.group.is_empty() && containers.is_none_or(Vec::is_empty) {
        return vec![Cause::required("spec.containers", "")];
    }
    Vec::new()
}

/// What is wrong with a change.
pub fn check_change(kind: &Kind, new: &Value, old: &Value) -> Vec<Cause> {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "secrets") => check_secret(new, old),
        ("", "pods") => check_pod(new, old),
        _ => Vec::new(),
    }
}

fn check_secret(new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if old["immutable"] == true {
        if new["immutable"] != true {
            causes.push(Cause::forbidden("immutable", IMMUTABLE));
        }
        if new.get("data") != old.get("data") {
            causes.push(Cause::forbidden("data", IMMUTABLE));
        }
    }
    if new["type"] != old["type"] {
        causes.push(Cause::invalid("type", &new["type"], "field is immutable"));
    }
    causes
}

const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// Only images and tolerations may change, and the node is set once, by the scheduler.
fn check_pod(new: &Value, old: &Value) -> Vec<Cause> {
    let fixed = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        let fields = meta::map(&mut spec);
        for free in ["tolerations", "activeDeadlineSeconds", "terminationGracePeriodSeconds"] {
            fields.remove(free);
        }
        for list in ["containers", "initContainers"] {
            for container in
                fields.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
            {
                meta::map(container).remove("image");
            }
        }
        spec
    };
    if fixed(new) == fixed(old) {
        return Vec::new();
    }
    let why = "pod updates may not change fields other than `spec.containers[*].image`, \
               `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` \
               (only additions to existing tolerations), `spec.terminationGracePeriodSeconds` \
               (allow it to be set to 1 if it was previously negative)";
    vec![Cause::forbidden("spec", why)]
}
