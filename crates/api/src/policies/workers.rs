//! Who may create a worker, and who may remove our finalizer.

use super::{Check, Policy, on};
use crate::GROUP;
use crate::labels::FINALIZER;

/// A worker is a pod: making one must not be a way around the right to make pods.
pub fn creation() -> Policy {
    Policy {
        name: "duckworker-creation",
        matches: on(GROUP, &["duckworkers"], &["CREATE", "UPDATE"]),
        variables: Vec::new(),
        checks: vec![Check::explained(
            "request.operation == 'UPDATE' && object.spec == oldObject.spec \
             || authorizer.group('').resource('pods').namespace(request.namespace)\
             .check('create').allowed()",
            "'whoever creates or changes a worker must be allowed to create pods in namespace ' + \
             request.namespace + ': a worker is a pod'",
        )],
    }
}

/// The finalizer keeps a worker until its pod and its secrets are gone.
pub fn finalizer() -> Policy {
    Policy {
        name: "duckworker-finalizer",
        matches: on(GROUP, &["duckworkers"], &["UPDATE"]),
        variables: Vec::new(),
        checks: vec![Check::new(
            format!(
                "!('{FINALIZER}' in oldObject.metadata.?finalizers.orValue([])) \
                 || '{FINALIZER}' in object.metadata.?finalizers.orValue([]) \
                 || authorizer.group('{GROUP}').resource('duckworkers').subresource('finalizers')\
                 .namespace(request.namespace).name(request.name).check('update').allowed()"
            ),
            &format!(
                "the finalizer {FINALIZER} goes when the worker's pod and secrets are gone; to \
                 remove it by hand you need the right to update duckworkers/finalizers"
            ),
        )],
    }
}
