//! Rules about a `DuckTenant`. They are judged whenever its spec is written: there is no status
//! write that they could block.

use kube::core::{Message, Rule};

use super::{Check, all_hold, at_creation, first_sentence};

/// How long a tenant's name may be: workers bear it as a label.
pub const MAX_NAME: usize = 63;

/// The rule at the root, about the name.
pub fn name_rule() -> Rule {
    at_creation(&[Check::new(
        format!("size(self.metadata.name) <= {MAX_NAME} && !self.metadata.name.contains('.')"),
        &format!(
            "metadata.name is what workers and claims call the tenant, and must be a DNS label of \
             at most {MAX_NAME} characters: lower-case letters, digits and '-'"
        ),
    )])
}

/// The rule on `.spec`: its numbers go together.
pub fn rule() -> Rule {
    // Without `.?`, which the simulator's CEL does not have.
    let checks = [
        Check::new(
            "!has(self.hotIdle) || !has(self.hotIdle.minPerTenant) || !has(self.hotIdle.maxPerTenant) \
             || self.hotIdle.minPerTenant <= self.hotIdle.maxPerTenant",
            "spec.hotIdle.minPerTenant must not be more than spec.hotIdle.maxPerTenant",
        ),
        Check::new(
            "!has(self.hotIdle) || !has(self.hotIdle.minPerTenant) || !has(self.maxWorkers) \
             || self.hotIdle.minPerTenant <= self.maxWorkers",
            "spec.hotIdle.minPerTenant must not be more than spec.maxWorkers: parked workers count",
        ),
    ];
    Rule::new(all_hold(&checks)).message(Message::Expression(first_sentence(&checks)))
}
