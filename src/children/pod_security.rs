//! What the *restricted* Pod Security profile asks for, where the template is silent. What the
//! template says stands: a namespace whose profile is laxer may run it, a stricter one refuses
//! the pod with a sentence of its own.

use serde_json::json;

use super::BuildError;
use super::json::{Object, is_silent, object_in, objects_in, where_silent};

/// The user and the group of a process whose template and image name none. The profile asks for
/// anyone but root; most images say nothing and would be refused by the kubelet.
const NOBODY_SPECIAL: i64 = 1000;

/// Fills in the pod's and every container's security context.
pub fn harden(spec: &mut Object) -> Result<(), BuildError> {
    harden_pod(object_in(spec, "securityContext")?);
    for kind in ["initContainers", "containers"] {
        for container in objects_in(spec, kind) {
            harden_container(object_in(container, "securityContext")?)?;
        }
    }
    Ok(())
}

fn harden_pod(context: &mut Object) {
    where_silent(context, "runAsNonRoot", true);
    // Whoever allows root has an image that needs its own user.
    if context["runAsNonRoot"] == true {
        where_silent(context, "runAsUser", NOBODY_SPECIAL);
    }
    // The group that may read the certificate, whichever user the process has.
    where_silent(context, "fsGroup", NOBODY_SPECIAL);
    where_silent(context, "seccompProfile", json!({ "type": "RuntimeDefault" }));
}

fn harden_container(context: &mut Object) -> Result<(), BuildError> {
    if !needs_escalation(context) {
        where_silent(context, "allowPrivilegeEscalation", false);
    }
    if context.get("privileged").is_none_or(|p| p != true) {
        where_silent(object_in(context, "capabilities")?, "drop", json!(["ALL"]));
    }
    Ok(())
}

/// The API server refuses a container that is privileged (or has `SYS_ADMIN`) and may not
/// escalate: there the template is not silent about it.
fn needs_escalation(context: &Object) -> bool {
    let added = context.get("capabilities").and_then(|c| c.get("add"));
    let adds_admin = added
        .and_then(|add| add.as_array())
        .is_some_and(|add| add.iter().any(|c| c == "SYS_ADMIN" || c == "CAP_SYS_ADMIN"));
    adds_admin || (!is_silent(context, "privileged") && context["privileged"] == true)
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "`json!` at the call reads better without `&`")]
mod tests {
    use serde_json::{Value, json};

    use crate::children::pod_fixtures::{pod_of, worker_of};

    fn spec_of(spec: Value) -> Value {
        pod_of(&worker_of(json!({ "spec": spec })))["spec"].clone()
    }

    #[test]
    fn a_silent_template_passes_the_restricted_profile() {
        let spec = spec_of(json!({
            "initContainers": [{ "name": "init", "image": "i:1" }],
            "containers": [{ "name": "duckdb", "image": "duck:1" }, { "name": "side", "image": "s" }]
        }));
        assert_eq!(
            spec["securityContext"],
            json!({ "runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000,
                    "seccompProfile": { "type": "RuntimeDefault" } })
        );
        let hardened =
            json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
        for container in ["/initContainers/0", "/containers/0", "/containers/1"] {
            let container = spec.pointer(container).unwrap();
            assert_eq!(container["securityContext"], hardened);
        }
    }

    #[test]
    fn what_the_template_says_stands() {
        let pod = json!({ "runAsNonRoot": false, "fsGroup": 7,
                          "seccompProfile": { "type": "Unconfined" } });
        let container = json!({ "allowPrivilegeEscalation": true, "runAsUser": 65532,
                                "capabilities": { "drop": ["NET_RAW"], "add": ["CHOWN"] } });
        let spec = spec_of(json!({
            "securityContext": pod,
            "containers": [{ "name": "duckdb", "image": "duck:1", "securityContext": container }]
        }));
        assert_eq!(spec["securityContext"], pod);
        assert_eq!(spec["containers"][0]["securityContext"], container);
    }

    #[test]
    fn a_partial_word_is_completed() {
        let spec = spec_of(json!({
            "securityContext": { "runAsUser": 65532, "fsGroup": null },
            "containers": [{ "name": "duckdb", "image": "duck:1",
                "securityContext": { "capabilities": { "add": ["NET_BIND_SERVICE"] } } }]
        }));
        assert_eq!(spec["securityContext"]["runAsUser"], 65532);
        assert_eq!(spec["securityContext"]["fsGroup"], 1000);
        assert_eq!(
            spec["containers"][0]["securityContext"]["capabilities"],
            json!({ "add": ["NET_BIND_SERVICE"], "drop": ["ALL"] })
        );
    }

    #[test]
    fn a_privileged_container_is_not_contradicted() {
        for context in [
            json!({ "privileged": true }),
            json!({ "capabilities": { "add": ["SYS_ADMIN"], "drop": ["ALL"] } }),
        ] {
            let spec = spec_of(json!({ "containers": [
                { "name": "duckdb", "image": "duck:1", "securityContext": context }] }));
            assert_eq!(spec["containers"][0]["securityContext"], context);
        }
    }
}
