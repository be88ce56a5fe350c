//! Who may create a pool, and who may change what its workers are made of.

use super::{Check, Policy, on};
use crate::GROUP;

/// A pool makes pods: its template must not be a way around the right to make pods. How many of
/// them there are is another matter: an autoscaler scales without that right.
pub fn creation() -> Policy {
    Policy {
        name: "duckworker-pool-creation",
        matches: on(GROUP, &["duckworkerpools"], &["CREATE", "UPDATE"]),
        variables: Vec::new(),
        checks: vec![Check::explained(
            "request.operation == 'UPDATE' && object.spec.template == oldObject.spec.template \
             || authorizer.group('').resource('pods').namespace(request.namespace)\
             .check('create').allowed()",
            "'whoever creates a pool or changes its spec.template must be allowed to create pods \
             in namespace ' + request.namespace + ': its workers are pods made of it'",
        )],
    }
}
