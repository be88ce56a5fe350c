//! What the server does to a custom resource before it stores it: drop what the schema does not
//! know, fill in defaults, check the schema, check the CEL rules.

mod check;
mod fill;
pub mod metadata;
mod node;
mod rules;

use std::fmt;

use serde_json::Value;

use self::node::Node;
use self::rules::Rules;
use crate::failure::Cause;

/// The schema and the rules of a custom resource.
pub struct CustomSchema {
    root: Node,
    rules: Rules,
}

impl CustomSchema {
    /// Takes an `openAPIV3Schema`.
    pub fn new(schema: Value) -> Self {
        let root = Node::new(&schema);
        Self { root, rules: Rules::new(schema) }
    }

    /// Drops unknown fields and fills in defaults.
    pub fn fill(&self, object: &mut Value) {
        fill::root(&self.root, object);
    }

    /// The default of the status, which is never stored at a creation and yet seen at once.
    pub fn default_status(&self) -> Option<Value> {
        let status = self.root.properties.get("status")?;
        let mut value = status.default.clone()?;
        fill::value(status, &mut value);
        Some(value)
    }

    /// What is wrong with an object, if anything. Values that did not change are not judged again.
    pub fn check(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = check::root(&self.root, new, old);
        if causes.iter().any(Cause::blocks_rules) {
            if !self.rules.is_empty() {
                let why = "some validation rules were not checked because the object was invalid; \
                           correct the existing errors to complete validation";
                let message = format!("Invalid value: null: {why}");
                causes.push(Cause { field: "<nil>".into(), reason: "FieldValueInvalid", message });
            }
        } else {
            causes.extend(self.rules.check(new, old));
        }
        causes
    }
}

impl fmt::Debug for CustomSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomSchema").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
