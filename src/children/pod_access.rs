//! The part of a pod by which its worker is known and reached: its uid, its token, its
//! certificate, its port; and how long it has to end. All of it goes to the container `duckdb`
//! alone.

use duckworker_api::{DuckWorkerSpec, labels};
use duckworker_core::{Uid, WorkerKey};
use serde_json::{Value, json};

use super::json::{Object, list_in, objects_in};
use super::{BuildError, identity};

/// The name of the port, unless the template has given it one.
const PORT_NAME: &str = "flight";

/// For the owner and for the pod's group (`fsGroup`), which is how a process that is not root
/// reads it; for nobody else. `0o440` in the decimal that JSON has.
const SECRET_MODE: i32 = 0o440;

/// Adds it to the pod's spec, as the worker's own says.
pub fn add(
    spec: &mut Object,
    worker: &WorkerKey,
    secret: &Uid,
    wanted: &DuckWorkerSpec,
) -> Result<(), BuildError> {
    let connection = &wanted.connection;
    let duckdb = objects_in(spec, "containers")
        .find(|container| is_named(container, labels::DUCKDB_CONTAINER))
        .ok_or(BuildError::NoContainer)?;
    add_variables(duckdb, worker, secret, wanted)?;
    add_mount(duckdb, &connection.tls_dir)?;
    add_port(duckdb, connection.port)?;
    add_volume(spec, worker)
}

/// Ours come first, since a variable can only refer to earlier ones: a template may say
/// `--token=$(DUCKWORKER_TOKEN)` or build a variable of its own out of ours.
fn add_variables(
    duckdb: &mut Object,
    worker: &WorkerKey,
    secret: &Uid,
    wanted: &DuckWorkerSpec,
) -> Result<(), BuildError> {
    let token_env = wanted.connection.token_env.as_str();
    let known = [labels::UID_ENV, labels::NAME_ENV, labels::SECRET_UID_ENV, labels::GRACE_ENV];
    if known.contains(&token_env) {
        return Err(reserved("variable", token_env));
    }
    let ours = [
        json!({ "name": labels::UID_ENV, "value": worker.uid.as_str() }),
        json!({ "name": labels::NAME_ENV, "value": worker.name }),
        json!({ "name": labels::SECRET_UID_ENV, "value": secret.as_str() }),
        json!({ "name": labels::GRACE_ENV, "value": wanted.drain_timeout_seconds.to_string() }),
        json!({ "name": token_env, "valueFrom": { "secretKeyRef": {
            "name": identity::secret_name(&worker.name), "key": labels::TOKEN_KEY,
        }}}),
    ];
    let variables = list_in(duckdb, "env")?;
    for name in known.into_iter().chain([token_env]) {
        refuse(variables, "variable", name)?;
    }
    variables.splice(0..0, ours);
    Ok(())
}

fn add_mount(duckdb: &mut Object, tls_dir: &str) -> Result<(), BuildError> {
    let mounts = list_in(duckdb, "volumeMounts")?;
    refuse(mounts, "mount of the volume", labels::TLS_VOLUME)?;
    mounts.push(json!({ "name": labels::TLS_VOLUME, "mountPath": tls_dir, "readOnly": true }));
    Ok(())
}

/// A port is information only; the template's own entry for it is kept.
fn add_port(duckdb: &mut Object, port: i32) -> Result<(), BuildError> {
    let ports = list_in(duckdb, "ports")?;
    let is_tcp = |entry: &Value| entry.get("protocol").is_none_or(|p| p.is_null() || p == "TCP");
    if ports.iter().any(|entry| entry["containerPort"] == port && is_tcp(entry)) {
        return Ok(());
    }
    let mut ours = json!({ "containerPort": port, "protocol": "TCP" });
    if !ports.iter().any(|entry| entry["name"] == PORT_NAME) {
        ours["name"] = json!(PORT_NAME);
    }
    ports.push(ours);
    Ok(())
}

/// Only certificate and key: the token has no business in a file.
fn add_volume(spec: &mut Object, worker: &WorkerKey) -> Result<(), BuildError> {
    let file = |key: &str| json!({ "key": key, "path": key });
    let volumes = list_in(spec, "volumes")?;
    refuse(volumes, "volume", labels::TLS_VOLUME)?;
    volumes.push(json!({ "name": labels::TLS_VOLUME, "secret": {
        "secretName": identity::secret_name(&worker.name),
        "defaultMode": SECRET_MODE,
        "items": [file(labels::CERTIFICATE_KEY), file(labels::PRIVATE_KEY_KEY)],
    }}));
    Ok(())
}

fn refuse(list: &[Value], what: &'static str, name: &str) -> Result<(), BuildError> {
    let taken = list.iter().filter_map(Value::as_object).any(|entry| is_named(entry, name));
    if taken { Err(reserved(what, name)) } else { Ok(()) }
}

fn reserved(what: &'static str, name: &str) -> BuildError {
    BuildError::Reserved { what, name: name.to_owned() }
}

fn is_named(entry: &Object, name: &str) -> bool {
    entry.get("name").is_some_and(|n| n == name)
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "`json!` at the call reads better without `&`")]
mod tests {
    use serde_json::{Value, json};

    use crate::children::pod_fixtures::{SECRET, UID, build, pod_of, worker_of};

    fn with_duckdb(more: Value) -> Value {
        let mut container = json!({ "name": "duckdb", "image": "duck:1" });
        for (key, value) in more.as_object().unwrap() {
            container[key] = value.clone();
        }
        json!({ "spec": { "containers": [{ "name": "side", "image": "s:1" }, container] } })
    }

    #[test]
    fn the_worker_finds_its_uid_its_token_and_its_certificate() {
        let pod =
            pod_of(&worker_of(with_duckdb(json!({ "env": [{ "name": "A", "value": "b" }] }))));
        let duckdb = &pod["spec"]["containers"][1];
        assert_eq!(
            duckdb["env"],
            json!([
                { "name": "DUCKWORKER_UID", "value": UID },
                { "name": "DUCKWORKER_NAME", "value": "w1" },
                { "name": "DUCKWORKER_SECRET_UID", "value": SECRET },
                { "name": "DUCKWORKER_GRACE_SECONDS", "value": "900" },
                { "name": "DUCKWORKER_TOKEN",
                  "valueFrom": { "secretKeyRef": { "name": "w1-rpc", "key": "bearer-token" } } },
                { "name": "A", "value": "b" },
            ])
        );
        assert_eq!(
            duckdb["volumeMounts"],
            json!([{ "name": "duckworker-tls", "mountPath": "/etc/duckworker/tls", "readOnly": true }])
        );
        assert_eq!(
            pod["spec"]["volumes"],
            json!([{ "name": "duckworker-tls", "secret": {
                "secretName": "w1-rpc", "defaultMode": 288,
                "items": [{ "key": "tls.crt", "path": "tls.crt" }, { "key": "tls.key", "path": "tls.key" }]
            }}])
        );
    }

    #[test]
    fn a_sidecar_gets_none_of_it() {
        let pod = pod_of(&worker_of(with_duckdb(json!({}))));
        let side = pod["spec"]["containers"][0].as_object().unwrap();
        assert!(!side.contains_key("env") && !side.contains_key("volumeMounts"), "{side:?}");
    }

    #[test]
    fn names_of_an_older_image_can_be_chosen() {
        let mut worker = worker_of(with_duckdb(json!({})));
        worker.spec.connection.token_env = "DUCKGRES_TOKEN".to_owned();
        worker.spec.connection.tls_dir = "/certs".to_owned();
        worker.spec.connection.port = 9000;
        let pod = pod_of(&worker);
        let duckdb = &pod["spec"]["containers"][1];
        assert_eq!(duckdb["env"][4]["name"], "DUCKGRES_TOKEN");
        assert_eq!(duckdb["volumeMounts"][0]["mountPath"], "/certs");
        let port = json!([{ "containerPort": 9000, "name": "flight", "protocol": "TCP" }]);
        assert_eq!(duckdb["ports"], port);
    }

    #[test]
    fn the_templates_own_port_is_kept() {
        let ports = json!([{ "containerPort": 8816, "name": "sql" }]);
        let pod = pod_of(&worker_of(with_duckdb(json!({ "ports": ports }))));
        assert_eq!(pod["spec"]["containers"][1]["ports"], ports);

        let taken = json!([{ "containerPort": 1, "name": "flight" }]);
        let pod = pod_of(&worker_of(with_duckdb(json!({ "ports": taken }))));
        let second = json!({ "containerPort": 8816, "protocol": "TCP" });
        assert_eq!(pod["spec"]["containers"][1]["ports"][1], second);
    }

    #[test]
    fn our_names_are_refused() {
        let sentence = |template| build(&worker_of(template)).unwrap_err().to_string();
        for name in ["DUCKWORKER_UID", "DUCKWORKER_SECRET_UID", "DUCKWORKER_TOKEN"] {
            let template = with_duckdb(json!({ "env": [{ "name": name, "value": "x" }] }));
            assert!(sentence(template).contains(&format!("variable {name:?}")));
        }
        let mut template = with_duckdb(json!({}));
        template["spec"]["volumes"] = json!([{ "name": "duckworker-tls", "emptyDir": {} }]);
        assert!(sentence(template).contains("volume \"duckworker-tls\""));
    }
}
