//! The CRDs as they are written to `crds/`: what the derive makes of the Rust types, and then the
//! parts that the types cannot say.
//!
//! | room | holds |
//! |---|---|
//! | [`tidy`] | what the API server wants spelled otherwise than schemars spells it |
//! | [`pool`] | the CRD of `DuckWorkerPool` |
//! | [`claim`] | the CRD of `DuckWorkerClaim` |
//! | [`bounds`] | a limit on every list, map and text, so that rules are cheap and objects small |

pub mod bounds;
mod claim;
mod pool;
mod tidy;

pub use self::claim::duckworkerclaim;
pub use self::pool::duckworkerpool;

use duckworker_core::WorkerState;
use kube::CustomResourceExt;
use kube::core::Rule;
use serde_json::{Value, json};

use crate::cel;
use crate::tenant::DuckTenant;
use crate::worker::DuckWorker;

/// A schema lacks a field that the types have: the types changed and the code below did not.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// The field.
    #[error("the derived schema has no {0}")]
    Missing(String),
    /// A value could not be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Every CRD of ours.
///
/// # Errors
/// When the schema and the types went apart, which a test excludes.
pub fn all() -> Result<Vec<Value>, CrdError> {
    Ok(vec![duckworker()?, duckworkerpool()?, duckworkerclaim()?, ducktenant()?])
}

/// The CRD of `DuckWorker`.
///
/// # Errors
/// When the schema and the types went apart, which a test excludes.
pub fn duckworker() -> Result<Value, CrdError> {
    let mut crd = serde_json::to_value(DuckWorker::crd())?;
    let version = at(&mut crd, "/spec/versions/0")?;
    version["selectableFields"] =
        json!([{ "jsonPath": ".status.state" }, { "jsonPath": ".status.owner" }]);
    let root = at(version, "/schema/openAPIV3Schema")?;
    tidy::tidy(root);
    root["description"] = json!(
        "One worker: a pod with DuckDB in it and a secret, like a bare Pod. It is never restarted \
         in place; its state and its owner stand in its status."
    );
    describe_spec(at(root, "/properties/spec")?)?;
    describe_status(at(root, "/properties/status")?)?;
    attach(root, vec![cel::spec::name_rule(), cel::status::root_rule()])?;
    Ok(crd)
}

/// The CRD of `DuckTenant`.
///
/// # Errors
/// When the schema and the types went apart, which a test excludes.
pub fn ducktenant() -> Result<Value, CrdError> {
    let mut crd = serde_json::to_value(DuckTenant::crd())?;
    let root = at(&mut crd, "/spec/versions/0/schema/openAPIV3Schema")?;
    tidy::tidy(root);
    root["description"] = json!(
        "What a tenant may have. Its name is the `tenant` of workers and claims in its namespace."
    );
    let spec = at(root, "/properties/spec")?;
    spec["description"] = json!("What the tenant may have, and what its workers are told.");
    let secret = at(spec, "/properties/activationSecretRef/properties/name")?;
    secret["description"] = json!(
        "Its name, in the tenant's namespace. Who writes it here must be allowed to get that secret."
    );
    attach(spec, vec![cel::tenant::rule()])?;
    bounds::apply_to_conditions(at(root, "/properties/status/properties/conditions")?)?;
    // Until a controller has looked at it, tools must not take it for settled: no spec has this
    // generation.
    at(root, "/properties/status")?["default"] = json!({ "observedGeneration": 0 });
    attach(root, vec![cel::tenant::name_rule()])?;
    Ok(crd)
}

fn describe_spec(spec: &mut Value) -> Result<(), CrdError> {
    spec["description"] = json!("What the worker shall be. Most of it cannot be changed later.");
    describe_template(at(spec, "/properties/template")?)?;
    attach(spec, vec![cel::spec::rule()])
}

fn describe_template(template: &mut Value) -> Result<(), CrdError> {
    bounds::apply(template)?;
    template["description"] = json!(
        "The pod: a whole pod template. A container named `duckdb` is required; its image is the \
         worker's version. Duckworker adds the token, the certificate and what the restricted Pod \
         Security profile asks for. Cannot be changed: create another worker."
    );
    Ok(())
}

fn describe_status(status: &mut Value) -> Result<(), CrdError> {
    let names: Vec<String> = WorkerState::ALL.iter().map(ToString::to_string).collect();
    at(status, "/properties/state")?["enum"] = json!(names);
    let conditions = at(status, "/properties/conditions")?;
    bounds::apply_to_conditions(conditions)?;
    // Always there, so that the rules need not ask.
    at(status, "/properties/ownerEpoch")?["default"] = json!(0);
    at(status, "/properties/writes")?["default"] = json!({ "seq": 0, "ids": [] });
    attach(status, vec![cel::status::rule()])?;
    // A worker reads Pending from its first moment on, whether or not a controller runs.
    status["default"] = json!({
        "state": WorkerState::Pending.to_string(),
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

/// The part of a schema at a JSON pointer.
fn at<'a>(schema: &'a mut Value, pointer: &str) -> Result<&'a mut Value, CrdError> {
    schema.pointer_mut(pointer).ok_or_else(|| CrdError::Missing(pointer.to_owned()))
}

fn attach(schema: &mut Value, rules: Vec<Rule>) -> Result<(), CrdError> {
    schema["x-kubernetes-validations"] = serde_json::to_value(rules)?;
    Ok(())
}
