//! Admission policies: what the API server enforces about *who* writes. A CRD's own rules cannot
//! see the caller; these can, and he cannot choose what they see.
//!
//! | room | holds |
//! |---|---|
//! | [`caller`] | the caller's identity, as the API server vouches for it |
//! | [`status`] | who may write the status of a worker |
//! | [`instances`] | who may write the Lease of a control-plane instance |
//! | [`workers`] | who may create a worker, and who may remove our finalizer |
//! | [`pools`] | who may create a pool, and who may change its template |
//! | [`tenants`] | who may name a tenant's secret, and who may make workers and claims for a tenant |

pub mod caller;
pub mod instances;
pub mod pools;
pub mod status;
pub mod tenants;
pub mod workers;

use serde_json::{Value, json};

/// A `ValidatingAdmissionPolicy` and its binding.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The name of both.
    pub name: &'static str,
    /// `matchConstraints`.
    pub matches: Value,
    /// Values that the checks share, by name.
    pub variables: Vec<(&'static str, String)>,
    /// What is checked.
    pub checks: Vec<Check>,
}

/// One check of a policy.
#[derive(Debug, Clone)]
pub struct Check {
    /// Must be true.
    pub expression: String,
    /// The sentence that the caller reads otherwise.
    pub sentence: Sentence,
}

/// What a refused caller reads.
#[derive(Debug, Clone)]
pub enum Sentence {
    /// These words.
    Plain(String),
    /// What this expression makes.
    Made(String),
}

/// Every policy.
pub fn all() -> Vec<Policy> {
    vec![
        status::policy(),
        instances::policy(),
        workers::creation(),
        workers::finalizer(),
        pools::creation(),
        tenants::secret(),
        tenants::usage(),
    ]
}

impl Check {
    fn new(expression: impl Into<String>, sentence: &str) -> Self {
        Self { expression: expression.into(), sentence: Sentence::Plain(sentence.to_owned()) }
    }

    fn explained(expression: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { expression: expression.into(), sentence: Sentence::Made(sentence.into()) }
    }

    fn to_json(&self) -> Value {
        let (key, text) = match &self.sentence {
            Sentence::Plain(text) => ("message", text),
            Sentence::Made(expression) => ("messageExpression", expression),
        };
        json!({ "expression": self.expression, key: text, "reason": "Forbidden" })
    }
}

impl Policy {
    /// The policy itself.
    pub fn policy(&self) -> Value {
        let variables: Vec<Value> = self
            .variables
            .iter()
            .map(|(name, expression)| json!({ "name": name, "expression": expression }))
            .collect();
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": self.metadata(),
            "spec": {
                // A policy that cannot be evaluated lets nothing pass.
                "failurePolicy": "Fail",
                "matchConstraints": self.matches,
                "variables": variables,
                "validations": self.checks.iter().map(Check::to_json).collect::<Vec<_>>(),
            },
        })
    }

    /// What puts it in force, everywhere.
    pub fn binding(&self) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": self.metadata(),
            "spec": { "policyName": self.name, "validationActions": ["Deny"] },
        })
    }

    fn metadata(&self) -> Value {
        json!({
            "name": self.name,
            "labels": { "app.kubernetes.io/part-of": "duckworker" },
        })
    }
}

/// The constraint "these operations on these resources".
fn on(group: &str, resources: &[&str], operations: &[&str]) -> Value {
    json!({
        "matchPolicy": "Equivalent",
        "resourceRules": [{
            "apiGroups": [group],
            "apiVersions": ["*"],
            "operations": operations,
            "resources": resources,
        }],
    })
}
