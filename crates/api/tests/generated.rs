//! The generated files are fresh, and the CRD is what `kubectl apply` can take.
#![allow(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

use std::path::Path;

use duckworker_api::cel::spec::{MAX_COMPOSED_VOLUMES, MAX_MOUNTS, MAX_VARIABLES};
use duckworker_api::{crd, generated};
use serde_json::Value;

#[test]
fn generated_files_are_fresh() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let stale = generated::stale(&top).unwrap();
    assert!(stale.is_empty(), "run `cargo run -p duckworker-api --bin crdgen`: {stale:?}");
}

#[test]
fn client_side_apply_has_room_for_the_crd() {
    // kubectl keeps the whole object in an annotation, and all annotations together have 256 KiB.
    for crd in crd::all().unwrap() {
        let json = serde_json::to_string(&crd).unwrap();
        assert!(json.len() < 200_000, "{}: {} bytes", crd["metadata"]["name"], json.len());
    }
}

#[test]
fn every_field_of_ours_is_explained() {
    let mut silent = Vec::new();
    for crd in crd::all().unwrap() {
        let root = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            unexplained(&root["properties"][part], part, &mut silent);
        }
    }
    assert!(silent.is_empty(), "{silent:?}");
}

fn unexplained(schema: &Value, path: &str, silent: &mut Vec<String>) {
    if schema["description"].as_str().is_none_or(|text| text.len() < 4) {
        silent.push(path.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        // The insides of Kubernetes' own types are explained by Kubernetes.
        if name != "template" {
            unexplained(field, &format!("{path}.{name}"), silent);
        }
    }
}

#[test]
fn a_pools_template_is_stored_as_it_was_written() {
    // Else a default of a newer version would look like a change, and replace every idle worker.
    let crd = crd::duckworkerpool().unwrap();
    let template = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/template";
    let text = crd.pointer(template).unwrap().to_string();
    assert!(!text.contains("\"default\":"), "a template's field has a default");
}

#[test]
fn no_part_of_a_worker_is_without_bounds() {
    let crd = crd::duckworker().unwrap();
    let template = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/template";
    let template = crd.pointer(template).unwrap();
    let mut elsewhere = template.clone();
    let pod = "/properties/spec/properties";
    let mut counted = 0;
    for list in ["containers", "initContainers"] {
        let fields = format!("{pod}/{list}/items/properties");
        for (field, most) in [("env", MAX_VARIABLES), ("volumeMounts", MAX_MOUNTS)] {
            let fields = elsewhere.pointer_mut(&fields).unwrap().as_object_mut().unwrap();
            let element = largest(&fields.remove(field).unwrap()["items"]);
            // Both lists of containers share one limit.
            counted += most as u64 * (element + 1) / 2;
        }
    }
    let fields = format!("{pod}/volumes/items/properties");
    let volume = elsewhere.pointer_mut(&fields).unwrap().as_object_mut().unwrap();
    let composed = ["projected", "ephemeral"].map(|kind| largest(&volume.remove(kind).unwrap()));
    counted += MAX_COMPOSED_VOLUMES as u64 * composed.into_iter().max().unwrap();
    let most = counted + largest(&elsewhere);
    // etcd takes 1.5 MiB. Free text is bounded by a rule, to 64 KiB in all, and counted apart.
    assert!(most < 1_300_000, "{most} bytes");
}

/// How many bytes of JSON a value may have at most, free text aside.
fn largest(schema: &Value) -> u64 {
    const FREE: u64 = 32_768;
    if schema["x-kubernetes-int-or-string"] == true {
        return 24;
    }
    match schema["type"].as_str() {
        Some("object") => largest_object(schema),
        Some("array") => 2 + schema["maxItems"].as_u64().unwrap() * (1 + largest(&schema["items"])),
        Some("string") => match schema["maxLength"].as_u64() {
            Some(FREE) => 2,
            Some(length) => 2 + length,
            None => 32,
        },
        _ => 20,
    }
}

fn largest_object(schema: &Value) -> u64 {
    if schema["additionalProperties"].is_object() {
        let entry = 317 + 4 + largest(&schema["additionalProperties"]);
        return 2 + schema["maxProperties"].as_u64().unwrap() * entry;
    }
    let fields = schema["properties"].as_object();
    let mut sizes: Vec<u64> = fields
        .into_iter()
        .flatten()
        .map(|(name, field)| name.len() as u64 + 4 + largest(field))
        .collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let most =
        schema["maxProperties"].as_u64().map_or(usize::MAX, |most| usize::try_from(most).unwrap());
    2 + sizes.iter().take(most).sum::<u64>()
}
