//! Rules about a `DuckWorkerPool`.

use kube::core::Rule;

use super::spec::{Connection, template_checks};
use super::{Check, at_creation, judged};
use crate::labels::DOMAIN;

/// How long a pool's name may be: its workers bear it, with a hash and a number.
pub const MAX_NAME: usize = 38;

/// The rule at the root, about the name.
pub fn name_rule() -> Rule {
    at_creation(&[Check::new(
        // The server has already seen to the rest of what makes a DNS label.
        format!("size(self.metadata.name) <= {MAX_NAME} && !self.metadata.name.contains('.')"),
        &format!(
            "metadata.name must be a DNS label of at most {MAX_NAME} characters (lower-case \
             letters, digits and '-', starting and ending with a letter or digit): the names of \
             its workers begin with it"
        ),
    )])
}

/// The rule on `.spec`.
pub fn rule() -> Rule {
    judged(&[
        Check::new(
            "self.replicas <= self.maxWorkers",
            "spec.replicas must not be greater than spec.maxWorkers: idle workers count too",
        ),
        Check::new(
            "self.updateStrategy.maxUnavailable > 0 || self.updateStrategy.maxSurge > 0",
            "spec.updateStrategy.maxUnavailable and maxSurge must not both be 0: a change of the \
             template could never begin",
        ),
        Check::new(
            "!has(self.hotIdle.maxPerTenant) \
             || self.hotIdle.minPerTenant <= self.hotIdle.maxPerTenant",
            "spec.hotIdle.minPerTenant must not be greater than spec.hotIdle.maxPerTenant",
        ),
        Check::new(
            "self.demand.maxExtra <= self.maxWorkers",
            "spec.demand.maxExtra must not be greater than spec.maxWorkers: workers that are kept \
             for demand count too",
        ),
        Check::new(
            "self.spawn.backoffSeconds <= self.spawn.maxBackoffSeconds",
            "spec.spawn.backoffSeconds must not be greater than spec.spawn.maxBackoffSeconds",
        ),
    ])
}

/// The rule on `.spec.template.metadata`.
pub fn metadata_rule() -> Rule {
    let free = |field: &str| {
        format!("(!has(self.{field}) || !self.{field}.exists(k, k.startsWith('{DOMAIN}')))")
    };
    judged(&[Check::new(
        format!("{} && {}", free("labels"), free("annotations")),
        "labels and annotations that start with duckworker.dev/ are set by Duckworker itself: \
         leave them out of spec.template.metadata",
    )])
}

/// The rule on `.spec.template.spec`: that of a worker, and no tenant. What a template leaves out
/// gets its default when a worker is made of it, so the rule cannot count on it to be there.
pub fn template_rule() -> Rule {
    let mut checks = vec![Check::new(
        "!has(self.tenant)",
        "spec.template.spec.tenant must be left out: a worker of a pool belongs to nobody until \
         it is claimed",
    )];
    let or_default = |field: &str, default: &str| {
        format!(
            "(has(self.connection) && has(self.connection.{field}) ? self.connection.{field} \
             : '{default}')"
        )
    };
    let default = crate::worker::Connection::default();
    checks.extend(template_checks(&Connection {
        token_env: or_default("tokenEnv", &default.token_env),
        tls_dir: or_default("tlsDir", &default.tls_dir),
    }));
    judged(&checks)
}

/// The rule at the root, about what joins status and spec.
pub fn room_rule() -> Rule {
    judged(&[Check::new(
        "size(self.status.ordinals.taken) <= self.spec.maxWorkers \
         || size(self.status.ordinals.taken) <= size(oldSelf.status.ordinals.taken)",
        "status.ordinals.taken must not grow beyond spec.maxWorkers",
    )])
}

/// The rule on `.status.ordinals`: no number is given twice.
pub fn ordinals_rule() -> Rule {
    judged(&[
        Check::new(
            "self.next >= oldSelf.next",
            "status.ordinals.next never falls: no worker gets the number of another",
        ),
        Check::new(
            "self.taken.filter(seat, seat.ordinal >= oldSelf.next).size() \
             <= self.next - oldSelf.next",
            "status.ordinals.next must rise by as many as numbers are taken",
        ),
        Check::new(
            "self.taken.all(seat, seat.ordinal < self.next)",
            "a number in status.ordinals.taken is not below status.ordinals.next",
        ),
        Check::new(
            "self.taken.filter(seat, seat.ordinal < oldSelf.next).size() <= size(oldSelf.taken)",
            "a number that was given back is not taken again",
        ),
    ])
}

/// The rule on each of `.status.ordinals.taken`.
pub fn seat_rule() -> Rule {
    judged(&[Check::new(
        "!has(oldSelf.uid) || (has(self.uid) && self.uid == oldSelf.uid)",
        "the uid in status.ordinals.taken is set once: a number is one worker's",
    )])
}
