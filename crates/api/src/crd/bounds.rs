//! Limits on every list, map and text of a pod template. They keep the estimated cost of the rules
//! in bounds, and a stored worker far below what etcd takes.

use serde_json::{Value, json};

use super::{CrdError, at, tidy};
use crate::cel::spec::MAX_KEY;

/// Lists longer than [`LIST`] elements.
const LISTS: &[(&str, u64)] = &[
    ("args", 64),
    ("command", 64),
    ("containers", 5),
    ("env", 64),
    ("initContainers", 5),
    ("matchExpressions", 4),
    ("ports", 8),
    ("tolerations", 16),
    ("volumeMounts", 16),
    ("volumes", 16),
];
/// How long any other list may be.
const LIST: u64 = 4;

/// Objects that are one of many kinds: each may have so many fields at once.
const UNIONS: &[(&str, u64)] = &[
    ("env", 2),
    ("livenessProbe", 7),
    ("postStart", 1),
    ("preStop", 1),
    ("readinessProbe", 7),
    ("sources", 1),
    ("startupProbe", 7),
    ("valueFrom", 1),
    ("volumes", 2),
];

/// Maps with more than [`MAP`] entries.
const MAPS: &[(&str, u64)] = &[("annotations", 32), ("labels", 32), ("nodeSelector", 16)];
/// How many entries any other map may have.
const MAP: u64 = 8;
/// Maps whose keys are bounded by a rule that does not run when the status is written.
const COMMON_MAPS: &[&str] = &["annotations", "labels", "limits", "nodeSelector", "requests"];

/// Texts longer than [`TEXT`] characters. Those that users fill freely share one more limit, a
/// rule of [`crate::cel::spec`].
const TEXTS: &[(&str, u64)] = &[
    ("annotations", 32_768),
    ("args", 32_768),
    ("command", 32_768),
    ("image", 1024),
    ("mountPath", 512),
    ("path", 512),
    ("secretName", 253),
    ("subPath", 512),
    ("value", 32_768),
];
/// How long any other text may be.
const TEXT: u64 = 128;

/// The fields of the metadata in a template that reach the pod.
const METADATA: &[&str] = &["annotations", "labels"];

/// Bounds a pod template.
pub(super) fn apply(template: &mut Value) -> Result<(), CrdError> {
    tidy::silence(template);
    keep_only(at(template, "/properties/metadata/properties")?, METADATA);
    let claim = "/properties/spec/properties/volumes/items/properties/ephemeral/properties\
                 /volumeClaimTemplate/properties/metadata/properties";
    keep_only(at(template, claim)?, METADATA);
    if let Some(pod) = at(template, "/properties/spec/properties")?.as_object_mut() {
        // For debugging a running pod only; a pod cannot be created with them.
        pod.remove("ephemeralContainers");
    }
    template["required"] = json!(["spec"]);
    bound(template, "template");
    Ok(())
}

/// Bounds the labels and annotations of a template.
pub(super) fn apply_to_metadata(metadata: &mut Value) {
    bound(metadata, "metadata");
}

/// Bounds conditions, whose type is Kubernetes' own.
pub(super) fn apply_to_conditions(conditions: &mut Value) -> Result<(), CrdError> {
    let limits = [("message", 4096), ("reason", 1024), ("type", 316)];
    for (field, limit) in limits {
        at(conditions, &format!("/items/properties/{field}"))?["maxLength"] = json!(limit);
    }
    at(conditions, "/items/properties/status")?["enum"] = json!(["True", "False", "Unknown"]);
    Ok(())
}

fn keep_only(fields: &mut Value, wanted: &[&str]) {
    if let Some(map) = fields.as_object_mut() {
        map.retain(|name, _| wanted.contains(&name.as_str()));
    }
}

/// Bounds the field `name` and everything in it.
fn bound(schema: &mut Value, name: &str) {
    let is = |kind: &str| schema["type"] == kind;
    if is("array") {
        schema["maxItems"] = json!(limit(LISTS, name, LIST));
        bound(&mut schema["items"], name);
    } else if schema.get("additionalProperties").is_some() {
        schema["maxProperties"] = json!(limit(MAPS, name, MAP));
        if !COMMON_MAPS.contains(&name) {
            schema["x-kubernetes-validations"] = json!([{
                "rule": format!("self.all(key, size(key) <= {MAX_KEY})"),
                "message": format!("a key is longer than {MAX_KEY} characters"),
            }]);
        }
        bound(&mut schema["additionalProperties"], name);
    } else if is("string") && schema.get("format").is_none() {
        schema["maxLength"] = json!(limit(TEXTS, name, TEXT));
    } else if let Some(fields) = schema["properties"].as_object_mut() {
        for (field, below) in fields {
            bound(below, field);
        }
        if let Some((_, most)) = UNIONS.iter().find(|(field, _)| *field == name) {
            schema["maxProperties"] = json!(most);
        }
    }
}

fn limit(table: &[(&str, u64)], name: &str, otherwise: u64) -> u64 {
    table.iter().find(|(field, _)| *field == name).map_or(otherwise, |(_, limit)| *limit)
}
