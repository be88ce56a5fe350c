//! Rules about the spec and the name. A worker's template, tenant and connection never change, so
//! they are judged once, at creation, and cost nothing when the status is written.

use kube::core::Rule;

use super::{at_creation, quote, rule};
use crate::labels::{DUCKDB_CONTAINER, DOMAIN, ENV_PREFIX, NAME_ENV, TLS_VOLUME, UID_ENV};

/// How long a worker's name may be: its secret, its pod, the host in its certificate and labels
/// bear it, with suffixes.
pub const MAX_NAME: usize = 57;
/// How much free text (values, arguments, annotations) a template may hold, in characters. Larger
/// content belongs into a `ConfigMap`: an object that etcd cannot store any more could never have
/// its status written again.
pub const MAX_TEXT: usize = 65_536;

/// The rule at the root about the name.
pub fn name_rule() -> Rule {
    at_creation(
        &format!(
            // The server has already seen to the rest of what makes a DNS label.
            "size(self.metadata.name) <= {MAX_NAME} && !self.metadata.name.contains('.')"
        ),
        &format!(
            "metadata.name must be a DNS label of at most {MAX_NAME} characters (lower-case \
             letters, digits and '-', starting and ending with a letter or digit): the pod, its \
             labels and its certificate bear it"
        ),
    )
}

/// The rules on `.spec`.
pub fn rules() -> Vec<Rule> {
    let duckdb = quote(DUCKDB_CONTAINER);
    vec![
        rule(
            "self.template == oldSelf.template",
            "spec.template cannot be changed: a worker is never restarted in place; create another",
        ),
        rule(
            "has(self.tenant) == has(oldSelf.tenant) \
             && (!has(self.tenant) || self.tenant == oldSelf.tenant)",
            "spec.tenant cannot be set, changed or unset on an existing worker; create another",
        ),
        rule(
            "self.connection == oldSelf.connection",
            "spec.connection cannot be changed: the running pod was made for it; create another",
        ),
        at_creation(
            &format!(
                "self.template.spec.containers.all(c, c.name != {duckdb} || !has(c.env) \
                 || c.env.all(e, e.name != self.connection.tokenEnv))"
            ),
            "spec.template sets the variable of spec.connection.tokenEnv in container duckdb: \
             leave it out, Duckworker puts the worker's own token there",
        ),
        at_creation(
            &format!(
                "self.template.spec.containers.all(c, c.name != {duckdb} || !has(c.volumeMounts) \
                 || c.volumeMounts.all(m, m.mountPath != self.connection.tlsDir \
                 && !m.mountPath.startsWith(self.connection.tlsDir + '/')))"
            ),
            "spec.template mounts something at spec.connection.tlsDir in container duckdb: mount it \
             elsewhere, Duckworker puts the worker's certificate there",
        ),
    ]
}

/// The rule on `.spec.tenant`.
pub fn tenant_rule() -> Rule {
    at_creation(
        "!format.dns1123Label().validate(self).hasValue()",
        "spec.tenant must be a DNS label: 1 to 63 lower-case letters, digits and '-', starting and \
         ending with a letter or digit",
    )
}

/// The rule on `.spec.connection`.
pub fn connection_rule() -> Rule {
    at_creation(
        &format!("!(self.tokenEnv in {})", super::list([UID_ENV, NAME_ENV])),
        "spec.connection.tokenEnv is a variable that Duckworker sets itself: choose another name",
    )
}

/// The rules on `.spec.template`.
pub fn template_rules() -> Vec<Rule> {
    let mut rules = container_rules();
    rules.extend(pod_rules());
    rules.push(at_creation(
        &format!("{} <= {MAX_TEXT}", free_text()),
        &format!(
            "spec.template holds more than {MAX_TEXT} characters in annotations, env values, \
             commands and args together: put large content into a ConfigMap and mount it"
        ),
    ));
    rules
}

fn container_rules() -> Vec<Rule> {
    let duckdb = quote(DUCKDB_CONTAINER);
    let prefix = quote(ENV_PREFIX);
    let clean = format!("c, !has(c.env) || !c.env.exists(e, e.name.startsWith({prefix}))");
    vec![
        at_creation(
            &format!("self.spec.containers.exists_one(c, c.name == {duckdb})"),
            "spec.template.spec.containers must have exactly one container named duckdb: the one \
             that runs DuckDB",
        ),
        at_creation(
            &format!(
                "self.spec.containers.all(c, c.name != {duckdb} \
                 || (has(c.image) && c.image != '' && !c.image.contains(' ')))"
            ),
            "container duckdb in spec.template needs an image: it is the worker's version",
        ),
        at_creation(
            "self.spec.containers.all(c, self.spec.containers.exists_one(o, o.name == c.name)) \
             && (!has(self.spec.initContainers) || self.spec.initContainers.all(i, \
             !self.spec.containers.exists(c, c.name == i.name)))",
            "two containers in spec.template have the same name: give each its own",
        ),
        at_creation(
            &format!(
                "self.spec.containers.all({clean}) && (!has(self.spec.initContainers) \
                 || self.spec.initContainers.all({clean}))"
            ),
            "variables whose names start with DUCKWORKER_ are set by Duckworker itself: rename \
             yours in spec.template",
        ),
    ]
}

fn pod_rules() -> Vec<Rule> {
    let domain = quote(DOMAIN);
    let foreign = |field: &str| {
        format!("(!has(self.metadata.{field}) || !self.metadata.{field}.exists(k, k.startsWith({domain})))")
    };
    vec![
        at_creation(
            &format!(
                "!has(self.spec.volumes) || !self.spec.volumes.exists(v, v.name == {})",
                quote(TLS_VOLUME)
            ),
            "the volume name duckworker-tls is taken by Duckworker itself: rename yours in \
             spec.template",
        ),
        at_creation(
            "!has(self.spec.automountServiceAccountToken) \
             || !self.spec.automountServiceAccountToken",
            "spec.template.spec.automountServiceAccountToken must not be true: a worker runs \
             tenants' SQL and gets no access to the Kubernetes API",
        ),
        at_creation(
            "!has(self.spec.restartPolicy) || self.spec.restartPolicy == 'Never'",
            "spec.template.spec.restartPolicy must be Never or left out: a worker is never \
             restarted in place",
        ),
        at_creation(
            &format!("!has(self.metadata) || ({} && {})", foreign("labels"), foreign("annotations")),
            "labels and annotations that start with duckworker.dev/ are set by Duckworker itself: \
             leave them out of spec.template",
        ),
    ]
}

/// How much free text a template holds.
fn free_text() -> String {
    let texts = |container: &str, field: &str| {
        format!("(has({container}.{field}) ? {container}.{field}.map(t, size(t)).sum() : 0)")
    };
    let of_containers = |list: &str| {
        format!(
            "{list}.map(c, (has(c.env) ? c.env.map(e, has(e.value) ? size(e.value) : 0).sum() : 0) \
             + {} + {}).sum()",
            texts("c", "command"),
            texts("c", "args"),
        )
    };
    let annotations = "self.metadata.annotations";
    format!(
        "{} + (has(self.spec.initContainers) ? {} : 0) + (has(self.metadata) && has({annotations}) \
         ? {annotations}.map(k, size(k) + size({annotations}[k])).sum() : 0)",
        of_containers("self.spec.containers"),
        of_containers("self.spec.initContainers"),
    )
}
