//! The CRD of `DuckWorkerClaim`.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{CrdError, at, attach, bounds, tidy};
use crate::cel;
use crate::claim::DuckWorkerClaim;

/// The CRD of `DuckWorkerClaim`.
///
/// # Errors
/// When the schema and the types went apart, which a test excludes.
pub fn duckworkerclaim() -> Result<Value, CrdError> {
    let mut crd = serde_json::to_value(DuckWorkerClaim::crd())?;
    let version = at(&mut crd, "/spec/versions/0")?;
    version["selectableFields"] =
        json!([{ "jsonPath": ".status.phase" }, { "jsonPath": ".spec.poolName" }]);
    let root = at(version, "/schema/openAPIV3Schema")?;
    tidy::tidy(root);
    root["description"] = json!(
        "A tenant's wish for one worker of a pool. The worker is the claim's until the claim is \
         deleted."
    );
    let spec = at(root, "/properties/spec")?;
    spec["description"] = json!("What is wished for. Cannot be changed.");
    attach(spec, vec![cel::claim::rule(), cel::claim::unchanged_rule()])?;
    let status = at(root, "/properties/status")?;
    at(status, "/properties/phase")?["enum"] =
        json!(["Pending", "Bound", "Ready", "Lost", "Failed"]);
    bounds::apply_to_conditions(at(status, "/properties/conditions")?)?;
    attach(status, vec![cel::claim::status_rule()])?;
    status["default"] = json!({
        "phase": "Pending",
        "conditions": [{
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "waiting for a controller",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }],
    });
    attach(root, vec![cel::claim::name_rule()])?;
    Ok(crd)
}
