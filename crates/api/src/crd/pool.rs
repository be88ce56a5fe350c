//! The CRD of `DuckWorkerPool`.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{CrdError, at, attach, bounds, describe_template, tidy};
use crate::cel;
use crate::pool::DuckWorkerPool;

/// The CRD of `DuckWorkerPool`.
///
/// # Errors
/// When the schema and the types went apart, which a test excludes.
pub fn duckworkerpool() -> Result<Value, CrdError> {
    let mut crd = serde_json::to_value(DuckWorkerPool::crd())?;
    let version = at(&mut crd, "/spec/versions/0")?;
    version["subresources"]["scale"] = json!({
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    });
    let root = at(version, "/schema/openAPIV3Schema")?;
    tidy::tidy(root);
    root["description"] = json!(
        "A warm pool: it keeps idle workers ready, so that a claim need not wait for a start. It \
         heals itself like a Deployment."
    );
    describe_spec(at(root, "/properties/spec")?)?;
    describe_status(at(root, "/properties/status")?)?;
    attach(root, vec![cel::pool::name_rule(), cel::pool::room_rule()])?;
    Ok(crd)
}

fn describe_spec(spec: &mut Value) -> Result<(), CrdError> {
    spec["description"] = json!("What is kept warm, how much of it, and what becomes of it.");
    let template = at(spec, "/properties/template")?;
    let metadata = at(template, "/properties/metadata")?;
    metadata["description"] = json!("Labels and annotations of each worker.");
    bounds::apply_to_metadata(metadata);
    attach(metadata, vec![cel::pool::metadata_rule()])?;
    let worker = at(template, "/properties/spec")?;
    worker["description"] =
        json!("The spec of each worker: as that of a DuckWorker, without a tenant.");
    describe_template(at(worker, "/properties/template")?)?;
    // A template is stored as it was written. Defaults come in when a worker is made of it: a
    // default of a newer version must not look like a change of the template.
    forget_defaults(worker);
    attach(worker, vec![cel::pool::template_rule()])?;
    attach(spec, vec![cel::pool::rule()])
}

fn forget_defaults(schema: &mut Value) {
    if let Some(map) = schema.as_object_mut() {
        map.remove("default");
    }
    for below in tidy::children(schema) {
        forget_defaults(below);
    }
}

fn describe_status(status: &mut Value) -> Result<(), CrdError> {
    bounds::apply_to_conditions(at(status, "/properties/conditions")?)?;
    at(status, "/properties/workers")?["description"] =
        json!("How many workers there are, by state.");
    let ordinals = at(status, "/properties/ordinals")?;
    ordinals["description"] = json!(
        "The numbers that workers were given: a worker is started only if its uid stands here."
    );
    // Always there, so that the rules have something to compare with.
    ordinals["default"] = json!({ "next": 0, "taken": [] });
    attach(at(ordinals, "/properties/taken/items")?, vec![cel::pool::seat_rule()])?;
    attach(ordinals, vec![cel::pool::ordinals_rule()])?;
    status["default"] = json!({
        "replicas": 0,
        "ordinals": { "next": 0, "taken": [] },
        "conditions": [{
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "waiting for a controller",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }],
    });
    Ok(())
}
