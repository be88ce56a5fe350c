//! The rules about changes, compiled once.

use std::sync::LazyLock;

use duckworker_api::{DuckWorker, crd};
use kube::core::cel::{CompiledSchema, Validator, apply_defaults, compile_schema};
use serde_json::{Value, json};

struct Rules {
    schema: Value,
    compiled: CompiledSchema,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let crd = crd::duckworker().unwrap();
    let mut schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone();
    // Rules of the creation; what is left judges changes.
    schema["x-kubernetes-validations"]
        .as_array_mut()
        .unwrap()
        .retain(|rule| rule["optionalOldSelf"] != true);
    schema["properties"]["spec"] = json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": { "tenant": { "type": "string" } },
    });
    let compiled = compile_schema(&schema);
    Rules { schema, compiled }
});

/// The sentence by which the API server refuses this change, if it does.
pub fn refusal(old: &Value, new: &Value) -> Option<String> {
    let (old, new) = (apply_defaults(&RULES.schema, old), apply_defaults(&RULES.schema, new));
    let errors = Validator::new().validate_compiled(&RULES.compiled, &new, Some(&old)).err()?;
    Some(errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; "))
}

/// A worker with this status, as it is stored.
pub fn worker(status: &Value) -> Value {
    json!({
        "apiVersion": "duckworker.dev/v1alpha1",
        "kind": "DuckWorker",
        "metadata": { "name": "w", "namespace": "n", "uid": "uid-of-w", "generation": 1 },
        "spec": {
            "template": { "spec": { "containers": [{ "name": "duckdb", "image": "i" }] } },
            "connection": {},
        },
        "status": status,
    })
}

/// The same, typed.
pub fn typed(object: &Value) -> DuckWorker {
    let crd = apply_defaults(&RULES.schema, object);
    serde_json::from_value(crd).unwrap()
}
