//! Rules about the spec and the name. A worker's template, tenant and connection never change, so
//! they are judged once, at creation, and cost next to nothing when the status is written.

use kube::core::Rule;

use super::{Check, at_creation, list, quote};
use crate::labels::{
    DOMAIN, DUCKDB_CONTAINER, ENV_PREFIX, GRACE_ENV, NAME_ENV, SECRET_UID_ENV, TLS_VOLUME, UID_ENV,
};

/// How long a worker's name may be: its secret, its pod, the host in its certificate and labels
/// bear it, with suffixes.
pub const MAX_NAME: usize = 57;
/// How much free text (values, arguments, annotations) a template may hold, in characters. Larger
/// content belongs into a `ConfigMap`: an object that etcd cannot store any more could never have
/// its status written again.
pub const MAX_TEXT: usize = 65_536;
/// How many variables all containers of a template may have together.
pub const MAX_VARIABLES: usize = 128;
/// How many mounts all containers of a template may have together.
pub const MAX_MOUNTS: usize = 48;
/// How many volumes of a template may be projected or ephemeral: they hold the largest objects.
pub const MAX_COMPOSED_VOLUMES: usize = 4;
/// How long a key of a map may be: what Kubernetes allows for labels.
pub const MAX_KEY: usize = 317;

/// The pod of the template.
const POD: &str = "self.template.spec";
/// Its labels and annotations.
const METADATA: &str = "self.template.metadata";

/// The rule at the root, about the name.
pub fn name_rule() -> Rule {
    at_creation(&[Check::new(
        // The server has already seen to the rest of what makes a DNS label.
        format!("size(self.metadata.name) <= {MAX_NAME} && !self.metadata.name.contains('.')"),
        &format!(
            "metadata.name must be a DNS label of at most {MAX_NAME} characters (lower-case \
             letters, digits and '-', starting and ending with a letter or digit): the pod, its \
             labels and its certificate bear it"
        ),
    )])
}

/// The rule on `.spec`.
pub fn rule() -> Rule {
    let mut checks = vec![tenant_is_a_label()];
    checks.extend(template_checks(&Connection {
        token_env: "self.connection.tokenEnv".to_owned(),
        tls_dir: "self.connection.tlsDir".to_owned(),
    }));
    at_creation(&checks)
}

/// How the fields of the connection are looked up.
pub(crate) struct Connection {
    /// The variable of the token.
    pub token_env: String,
    /// The folder of the certificate.
    pub tls_dir: String,
}

/// What must hold of a pod template.
pub(crate) fn template_checks(connection: &Connection) -> Vec<Check> {
    let mut checks = container_checks();
    checks.extend(connection_checks(connection));
    checks.extend(pod_checks());
    checks.push(text_is_short());
    checks.push(lists_are_short());
    checks.push(keys_are_short());
    checks
}

fn tenant_is_a_label() -> Check {
    Check::new(
        "!has(self.tenant) || !format.dns1123Label().validate(self.tenant).hasValue()",
        "spec.tenant must be a DNS label: 1 to 63 lower-case letters, digits and '-', starting and \
         ending with a letter or digit",
    )
}

/// True of every container, be it one that ends before the others start.
fn of_containers(what: &str) -> String {
    format!(
        "{POD}.containers.all(c, {what}) \
         && (!has({POD}.initContainers) || {POD}.initContainers.all(c, {what}))"
    )
}

fn container_checks() -> Vec<Check> {
    let duckdb = quote(DUCKDB_CONTAINER);
    vec![
        Check::new(
            format!("{POD}.containers.exists_one(c, c.name == {duckdb})"),
            "spec.template.spec.containers must have exactly one container named duckdb: the one \
             that runs DuckDB",
        ),
        Check::new(
            format!(
                "{POD}.containers.all(c, c.name != {duckdb} \
                 || (has(c.image) && c.image != '' && !c.image.contains(' ')))"
            ),
            "container duckdb in spec.template needs an image: it is the worker's version",
        ),
        Check::new(
            format!(
                "{POD}.containers.all(c, {POD}.containers.exists_one(o, o.name == c.name)) \
                 && (!has({POD}.initContainers) || {POD}.initContainers.all(i, \
                 !{POD}.containers.exists(c, c.name == i.name)))"
            ),
            "two containers in spec.template have the same name: give each its own",
        ),
        Check::new(
            of_containers(&format!(
                "!has(c.env) || !c.env.exists(e, e.name.startsWith({}))",
                quote(ENV_PREFIX)
            )),
            "variables whose names start with DUCKWORKER_ are set by Duckworker itself: rename \
             yours in spec.template",
        ),
    ]
}

fn connection_checks(Connection { token_env, tls_dir }: &Connection) -> Vec<Check> {
    let duckdb = quote(DUCKDB_CONTAINER);
    vec![
        Check::new(
            format!("!({token_env} in {})", list([UID_ENV, NAME_ENV, SECRET_UID_ENV, GRACE_ENV])),
            "spec.connection.tokenEnv is a variable that Duckworker sets itself: choose another \
             name",
        ),
        Check::new(
            format!(
                "{POD}.containers.all(c, c.name != {duckdb} || !has(c.env) \
                 || c.env.all(e, e.name != {token_env}))"
            ),
            "spec.template sets the variable of spec.connection.tokenEnv in container duckdb: \
             leave it out, Duckworker puts the worker's own token there",
        ),
        Check::new(
            format!(
                "{POD}.containers.all(c, c.name != {duckdb} || !has(c.volumeMounts) \
                 || c.volumeMounts.all(m, m.mountPath != {tls_dir} \
                 && !m.mountPath.startsWith({tls_dir} + '/')))"
            ),
            "spec.template mounts something at spec.connection.tlsDir in container duckdb: mount \
             it elsewhere, Duckworker puts the worker's certificate there",
        ),
    ]
}

fn pod_checks() -> Vec<Check> {
    let foreign = |field: &str| {
        let map = format!("{METADATA}.{field}");
        format!("(!has({map}) || !{map}.exists(k, k.startsWith({})))", quote(DOMAIN))
    };
    vec![
        Check::new(
            format!(
                "!has({POD}.volumes) || !{POD}.volumes.exists(v, v.name == {})",
                quote(TLS_VOLUME)
            ),
            "the volume name duckworker-tls is taken by Duckworker itself: rename yours in \
             spec.template",
        ),
        Check::new(
            format!(
                "!has({POD}.automountServiceAccountToken) || !{POD}.automountServiceAccountToken"
            ),
            "spec.template.spec.automountServiceAccountToken must not be true: a worker runs \
             tenants' SQL and gets no access to the Kubernetes API",
        ),
        Check::new(
            format!("!has({POD}.restartPolicy) || {POD}.restartPolicy == 'Never'"),
            "spec.template.spec.restartPolicy must be Never or left out: a worker is never \
             restarted in place",
        ),
        Check::new(
            format!("!has({METADATA}) || ({} && {})", foreign("labels"), foreign("annotations")),
            "labels and annotations that start with duckworker.dev/ are set by Duckworker itself: \
             leave them out of spec.template",
        ),
    ]
}

fn text_is_short() -> Check {
    let texts = |field: &str| format!("(has(c.{field}) ? c.{field}.map(t, size(t)).sum() : 0)");
    let of = |list: &str| {
        format!(
            "{list}.map(c, (has(c.env) ? c.env.map(e, has(e.value) ? size(e.value) : 0).sum() : 0) \
             + {} + {}).sum()",
            texts("command"),
            texts("args"),
        )
    };
    let annotations = format!("{METADATA}.annotations");
    Check::new(
        format!(
            "{} + (has({POD}.initContainers) ? {} : 0) + (has({METADATA}) && has({annotations}) \
             ? {annotations}.map(k, size({annotations}[k])).sum() : 0) <= {MAX_TEXT}",
            of(&format!("{POD}.containers")),
            of(&format!("{POD}.initContainers")),
        ),
        &format!(
            "spec.template holds more than {MAX_TEXT} characters in annotations, env values, \
             commands and args together: put large content into a ConfigMap and mount it"
        ),
    )
}

fn lists_are_short() -> Check {
    let count = |field: &str| {
        let of = |list: &str| format!("{list}.map(c, has(c.{field}) ? size(c.{field}) : 0).sum()");
        format!(
            "{} + (has({POD}.initContainers) ? {} : 0)",
            of(&format!("{POD}.containers")),
            of(&format!("{POD}.initContainers"))
        )
    };
    Check::new(
        format!(
            "{} <= {MAX_VARIABLES} && {} <= {MAX_MOUNTS} && (!has({POD}.volumes) \
             || {POD}.volumes.filter(v, has(v.projected) || has(v.ephemeral)).size() \
             <= {MAX_COMPOSED_VOLUMES})",
            count("env"),
            count("volumeMounts"),
        ),
        &format!(
            "spec.template is too large: all containers together may have {MAX_VARIABLES} variables \
             and {MAX_MOUNTS} volume mounts, and {MAX_COMPOSED_VOLUMES} volumes may be projected or \
             ephemeral"
        ),
    )
}

/// Keys of the maps that most templates have. The others' have a rule of their own.
fn keys_are_short() -> Check {
    let short = |map: &str| format!("(!has({map}) || {map}.all(k, size(k) <= {MAX_KEY}))");
    let resources = of_containers(&format!(
        "!has(c.resources) || ({} && {})",
        short("c.resources.limits"),
        short("c.resources.requests"),
    ));
    Check::new(
        format!(
            "(!has({METADATA}) || ({} && {})) && {} && {resources}",
            short(&format!("{METADATA}.labels")),
            short(&format!("{METADATA}.annotations")),
            short(&format!("{POD}.nodeSelector")),
        ),
        &format!("a key in a map of spec.template is longer than {MAX_KEY} characters"),
    )
}
