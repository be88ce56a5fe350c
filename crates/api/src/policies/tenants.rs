//! Who may write a `DuckTenant`, and who may make workers and claims for one. Neither may be a way around
//! the rights on a secret.

use super::{Check, Policy, on};
use crate::GROUP;

/// What a tenant's workers are told comes out of a secret: naming it must not be a way to read it.
pub fn secret() -> Policy {
    Policy {
        name: "duckworker-tenant-secret",
        matches: on(GROUP, &["ducktenants"], &["CREATE", "UPDATE"]),
        variables: vec![(
            "secret",
            "object.spec.?activationSecretRef.?name.orValue('')".to_owned(),
        )],
        checks: vec![Check::explained(
            "variables.secret == '' \
             || request.operation == 'UPDATE' && object.spec == oldObject.spec \
             || authorizer.group('').resource('secrets').namespace(request.namespace)\
             .name(variables.secret).check('get').allowed()",
            "'whoever writes a DuckTenant must be allowed to get its activation secret: secret ' + \
             variables.secret + ' in namespace ' + request.namespace",
        )],
    }
}

/// A tenant's workers are activated with its secret, and whoever has a claim of it is told how to
/// reach one. The right is one on the tenant's name, whether or not the `DuckTenant` is there yet:
/// it may come later, and no rule can read a second object. The tenant of a worker and of a claim
/// never changes, so their creation is all there is to judge.
pub fn usage() -> Policy {
    let kind = "request.resource.resource == 'duckworkerclaims' ? 'claim' : 'worker'";
    Policy {
        name: "duckworker-tenant-use",
        matches: on(GROUP, &["duckworkers", "duckworkerclaims"], &["CREATE"]),
        variables: vec![
            ("tenant", "object.spec.?tenant.orValue('')".to_owned()),
            ("kind", kind.to_owned()),
        ],
        checks: vec![Check::explained(
            format!(
                "variables.tenant == '' \
                 || authorizer.group('{GROUP}').resource('ducktenants')\
                 .namespace(request.namespace).name(variables.tenant).check('use').allowed()"
            ),
            "'whoever creates a ' + variables.kind + ' for tenant ' + variables.tenant + ' needs \
             the verb use on the DuckTenant of that name in namespace ' + request.namespace",
        )],
    }
}
