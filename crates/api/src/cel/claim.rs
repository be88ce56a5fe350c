//! Rules about a `DuckWorkerClaim`.

use kube::core::Rule;

use super::{Check, at_creation, judged};

/// How long a claim's name may be: its connection secret bears it, with a suffix.
pub const MAX_NAME: usize = 248;

/// The rule at the root, about the name.
pub fn name_rule() -> Rule {
    at_creation(&[Check::new(
        format!("size(self.metadata.name) <= {MAX_NAME}"),
        &format!("metadata.name must have at most {MAX_NAME} characters: its secret bears it"),
    )])
}

/// The rule on `.spec`: judged once, and never changed.
pub fn rule() -> Rule {
    at_creation(&[
        Check::new(
            "!format.dns1123Label().validate(self.tenant).hasValue()",
            "spec.tenant must be a DNS label: 1 to 63 lower-case letters, digits and '-', starting \
             and ending with a letter or digit",
        ),
        Check::new(
            "!format.dns1123Label().validate(self.poolName).hasValue()",
            "spec.poolName must be the name of a DuckWorkerPool in this namespace: a DNS label of \
             at most 38 characters",
        ),
    ])
}

/// The rule on `.spec` about changes.
pub fn unchanged_rule() -> Rule {
    judged(&[Check::new(
        "self == oldSelf",
        "the spec of a claim cannot be changed: delete the claim and create another",
    )])
}

/// The rule on `.status` about changes.
pub fn status_rule() -> Rule {
    judged(&[Check::new(
        "!(oldSelf.phase in ['Lost', 'Failed']) || self.phase == oldSelf.phase",
        "a claim that is Lost or Failed stays so: create another",
    )])
}
