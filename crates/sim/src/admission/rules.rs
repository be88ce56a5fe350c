//! The CEL rules of a CRD, evaluated by kube's own implementation of them.

use kube::core::cel::{
    CompiledSchema, ErrorKind, ValidationError, ValidationErrors, Validator, compile_schema,
};
use serde_json::Value;

use crate::failure::Cause;

/// The rules, compiled once.
pub struct Rules {
    compiled: CompiledSchema,
    empty: bool,
}

impl Rules {
    /// Takes an `openAPIV3Schema`.
    pub fn new(mut schema: Value) -> Self {
        let empty = !has_rules(&schema);
        drop_defaults(&mut schema);
        spell_optionals(&mut schema);
        Self { compiled: compile_schema(&schema), empty }
    }

    /// There are none.
    pub const fn is_empty(&self) -> bool {
        self.empty
    }

    /// The rules that an object breaks, in a stable order.
    pub fn check(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        if self.empty {
            return Vec::new();
        }
        thread_local! {
            static VALIDATOR: Validator = Validator::new();
        }
        let verdict = VALIDATOR.with(|v| v.validate_compiled(&self.compiled, new, old));
        let broken = verdict.err().map(ValidationErrors::into_vec).unwrap_or_default();
        let mut causes: Vec<Cause> = broken.iter().map(cause).collect();
        causes.sort();
        causes
    }
}

/// Objects come here with their defaults filled in. The one thing that must not be filled in is
/// the status of an object that is being created, which rules without `oldSelf` see as missing.
fn drop_defaults(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("default");
            fields.values_mut().for_each(drop_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_defaults),
        _ => {}
    }
}

/// Where a rule takes `oldSelf` as an optional, kube's CEL gives it the plain value, or null.
fn spell_optionals(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("optionalOldSelf") == Some(&Value::Bool(true))
                && let Some(Value::String(rule)) = fields.get_mut("rule")
            {
                *rule = rule
                    .replace("oldSelf.hasValue()", "(oldSelf != null)")
                    .replace("oldSelf.value()", "oldSelf");
            }
            fields.values_mut().for_each(spell_optionals);
        }
        Value::Array(items) => items.iter_mut().for_each(spell_optionals),
        _ => {}
    }
}

fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            fields.contains_key("x-kubernetes-validations") || fields.values().any(has_rules)
        }
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}

fn cause(error: &ValidationError) -> Cause {
    let field = if error.field_path.is_empty() { "<nil>" } else { &error.field_path };
    let reason = match error.reason.as_deref() {
        Some("FieldValueForbidden") => "FieldValueForbidden",
        Some("FieldValueRequired") => "FieldValueRequired",
        Some("FieldValueDuplicate") => "FieldValueDuplicate",
        _ => "FieldValueInvalid",
    };
    let what = match reason {
        "FieldValueForbidden" => "Forbidden: ",
        "FieldValueRequired" => "Required value: ",
        _ => "Invalid value: ",
    };
    let message = match error.kind {
        ErrorKind::ValidationFailure => format!("{what}{}", error.message),
        // A rule that cannot be evaluated refuses the object, here as there.
        _ => format!("{what}{} (rule {:?})", error.message, error.rule),
    };
    Cause { field: field.to_owned(), reason, message }
}
