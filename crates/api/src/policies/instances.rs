//! Who may write the Lease of a control-plane instance.

use serde_json::json;

use super::{Check, Policy, caller, on};
use crate::labels::{COMPONENT, CONTROL_PLANE, INSTANCE_STATE};

/// The holder renews; others may only mark it expired, and touch nothing else; expired is final.
pub fn policy() -> Policy {
    let mut matches = on("coordination.k8s.io", &["leases"], &["CREATE", "UPDATE"]);
    // Either the old or the new object fits, so the label cannot be taken off in passing.
    matches["objectSelector"] = json!({ "matchLabels": { COMPONENT: CONTROL_PLANE } });
    Policy {
        name: "duckworker-instances",
        matches,
        variables: variables(),
        checks: vec![
            holder_is_the_caller(),
            expired_is_final(),
            others_only_expire(),
            known_state(),
        ],
    }
}

fn variables() -> Vec<(&'static str, String)> {
    let state =
        |object: &str| format!("{object}.metadata.?labels[?'{INSTANCE_STATE}'].orValue('')");
    vec![
        (caller::NAME, caller::prefix()),
        ("created", "request.operation == 'CREATE'".to_owned()),
        ("holder", "object.spec.?holderIdentity.orValue('')".to_owned()),
        (
            "oldHolder",
            "variables.created ? variables.holder : oldObject.spec.?holderIdentity.orValue('')"
                .to_owned(),
        ),
        ("state", state("object")),
        ("oldState", format!("variables.created ? '' : {}", state("oldObject"))),
        ("isHolder", caller::is("variables.caller", "variables.oldHolder")),
    ]
}

fn holder_is_the_caller() -> Check {
    Check::explained(
        "variables.created ? variables.isHolder : variables.holder == variables.oldHolder",
        "'spec.holderIdentity of an instance Lease is its maker for good, ' + variables.caller + \
         '<incarnation>: you wrote ' + variables.holder",
    )
}

fn expired_is_final() -> Check {
    Check::new(
        "variables.oldState != 'expired' \
         || (variables.state == 'expired' && object.spec == oldObject.spec)",
        "an expired instance Lease stays expired and is not renewed: start a new incarnation",
    )
}

fn others_only_expire() -> Check {
    let same = |field: &str, empty: &str| {
        format!(
            "object.metadata.?{field}.orValue({empty}) == oldObject.metadata.?{field}.orValue({empty})"
        )
    };
    let labels = format!(
        "object.metadata.labels.all(k, k == '{INSTANCE_STATE}' \
         || oldObject.metadata.labels[?k] == optional.of(object.metadata.labels[k])) \
         && oldObject.metadata.labels.all(k, k in object.metadata.labels)"
    );
    Check::explained(
        format!(
            "variables.isHolder || (variables.state == 'expired' && object.spec == oldObject.spec \
             && {} && {} && {} && {labels})",
            same("annotations", "{}"),
            same("finalizers", "[]"),
            same("ownerReferences", "[]"),
        ),
        "'only ' + variables.oldHolder + ' writes this instance Lease; others may do no more than \
         set the label duckworker.dev/instance-state to expired'",
    )
}

fn known_state() -> Check {
    Check::new(
        format!(
            "variables.state in ['active', 'draining', 'expired'] \
             && object.metadata.labels[?'{COMPONENT}'] == optional.of('{CONTROL_PLANE}')"
        ),
        "an instance Lease keeps the label duckworker.dev/component, and its label \
         duckworker.dev/instance-state is active, draining or expired",
    )
}
