//! The built-in kinds, as far as Duckworker meets them.

use super::{Kind, Rules};

const PLAIN: Rules = Rules {
    create_on_update: false,
    unconditional_update: true,
    status: false,
    generation: false,
    graceful: false,
    returns_deleted: false,
};
const WITH_STATUS: Rules = Rules {
    status: true,
    ..PLAIN
};
const COUNTED: Rules = Rules {
    generation: true,
    ..WITH_STATUS
};

/// Group, version, plural, kind, namespaced, rules.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    bool,
    Rules,
);

const ROWS: &[Row] = &[
    (
        "",
        "v1",
        "namespaces",
        "Namespace",
        false,
        Rules {
            returns_deleted: true,
            ..WITH_STATUS
        },
    ),
    ("", "v1", "nodes", "Node", false, WITH_STATUS),
    (
        "",
        "v1",
        "pods",
        "Pod",
        true,
        Rules {
            graceful: true,
            returns_deleted: true,
            ..COUNTED
        },
    ),
    ("", "v1", "secrets", "Secret", true, PLAIN),
    ("", "v1", "configmaps", "ConfigMap", true, PLAIN),
    (
        "",
        "v1",
        "services",
        "Service",
        true,
        Rules {
            returns_deleted: true,
            ..WITH_STATUS
        },
    ),
    (
        "",
        "v1",
        "serviceaccounts",
        "ServiceAccount",
        true,
        Rules {
            returns_deleted: true,
            ..PLAIN
        },
    ),
    (
        "",
        "v1",
        "events",
        "Event",
        true,
        Rules {
            create_on_update: true,
            ..PLAIN
        },
    ),
    (
        "events.k8s.io",
        "v1",
        "events",
        "Event",
        true,
        Rules {
            create_on_update: true,
            ..PLAIN
        },
    ),
    (
        "coordination.k8s.io",
        "v1",
        "leases",
        "Lease",
        true,
        Rules {
            create_on_update: true,
            unconditional_update: false,
            ..PLAIN
        },
    ),
    (
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        true,
        Rules {
            unconditional_update: false,
            ..COUNTED
        },
    ),
];

/// All of them.
pub fn all() -> impl Iterator<Item = Kind> {
    ROWS.iter()
        .map(|&(group, version, plural, kind, namespaced, rules)| Kind {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced,
            rules,
            selectable: Vec::new(),
            schema: None,
        })
}
