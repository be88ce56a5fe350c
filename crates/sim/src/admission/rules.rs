//! The CEL rules of a CRD, evaluated by kube's own implementation of them.
//!
//! That compares the items of lists by their place. Of a list whose items have keys the API server
//! compares those with the same keys, so the rules of such items are evaluated here one by one.

use kube::core::cel::{
    CompiledSchema, ErrorKind, ValidationError, ValidationErrors, Validator, compile_schema,
};
use serde_json::Value;

use crate::failure::Cause;

/// The rules, compiled once.
pub struct Rules {
    compiled: CompiledSchema,
    keyed: Vec<KeyedList>,
    empty: bool,
}

/// A list whose items have keys, and rules.
struct KeyedList {
    /// The names of the fields that lead to it.
    path: Vec<String>,
    keys: Vec<String>,
    items: CompiledSchema,
}

impl Rules {
    /// Takes an `openAPIV3Schema`.
    pub fn new(mut schema: Value) -> Self {
        let empty = !has_rules(&schema);
        drop_defaults(&mut schema);
        spell_optionals(&mut schema);
        let mut keyed = Vec::new();
        take_keyed(&mut schema, &mut Vec::new(), &mut keyed);
        Self { compiled: compile_schema(&schema), keyed, empty }
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
        let broken = |schema: &CompiledSchema, new: &Value, old: Option<&Value>| {
            let verdict = VALIDATOR.with(|v| v.validate_compiled(schema, new, old));
            verdict.err().map(ValidationErrors::into_vec).unwrap_or_default()
        };
        let mut causes: Vec<Cause> = broken(&self.compiled, new, old).iter().map(cause).collect();
        for list in &self.keyed {
            for (index, item) in list.of(new).iter().enumerate() {
                let before = old.and_then(|old| list.of(old).iter().find(|o| list.same(item, o)));
                let place = format!("{}[{index}]", list.path.join("."));
                causes.extend(broken(&list.items, item, before).into_iter().map(|mut error| {
                    let inner = std::mem::take(&mut error.field_path);
                    let dot = if inner.is_empty() { "" } else { "." };
                    error.field_path = format!("{place}{dot}{inner}");
                    cause(&error)
                }));
            }
        }
        causes.sort();
        causes
    }
}

impl KeyedList {
    fn of<'a>(&self, object: &'a Value) -> &'a [Value] {
        let list = self.path.iter().try_fold(object, |value, field| value.get(field));
        list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn same(&self, one: &Value, other: &Value) -> bool {
        self.keys.iter().all(|key| one.get(key) == other.get(key))
    }
}

/// Takes the rules of items of keyed lists out of a schema.
fn take_keyed(schema: &mut Value, path: &mut Vec<String>, found: &mut Vec<KeyedList>) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if schema["x-kubernetes-list-type"] == "map" && schema.get("items").is_some_and(has_rules) {
        let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
        let items = compile_schema(&schema["items"]);
        found.push(KeyedList { path: path.clone(), keys: keys.filter_map(text).collect(), items });
        schema.get_mut("items").into_iter().for_each(drop_rules);
    } else if let Some(Value::Object(fields)) = schema.get_mut("properties") {
        for (name, field) in fields {
            path.push(name.clone());
            take_keyed(field, path, found);
            path.pop();
        }
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

fn drop_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            fields.values_mut().for_each(drop_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_rules),
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
