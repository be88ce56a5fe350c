//! Bad input is refused with a sentence that says what to write instead.

use anyhow::{Result, ensure};
use duckworker_e2e::{TestNamespace, worker};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use crate::cluster;

/// How a good worker is spoiled, and what the user reads.
type Case = (fn(&mut Value), &'static str);

fn pod(worker: &mut Value) -> &mut Value {
    &mut worker["spec"]["template"]["spec"]
}

fn container(worker: &mut Value) -> &mut Value {
    &mut pod(worker)["containers"][0]
}

const SPOILED: &[Case] = &[
    (|w| container(w)["name"] = json!("main"), "exactly one container named duckdb"),
    (|w| pod(w)["containers"] = json!([]), "exactly one container named duckdb"),
    (
        |w| {
            let copy = container(w).clone();
            pod(w)["containers"] = json!([copy, copy]);
        },
        "exactly one container named duckdb",
    ),
    (
        |w| {
            let copy = container(w).clone();
            pod(w)["initContainers"] = json!([copy]);
        },
        "two containers in spec.template have the same name",
    ),
    (|w| container(w)["image"] = json!(""), "needs an image"),
    (|w| container(w)["image"] = Value::Null, "needs an image"),
    (|w| w["spec"]["template"] = json!({}), "spec.template.spec: Required value"),
    (|w| w["spec"] = json!({}), "spec.template: Required value"),
    (|w| pod(w)["restartPolicy"] = json!("Always"), "restartPolicy must be Never or left out"),
    (
        |w| pod(w)["automountServiceAccountToken"] = json!(true),
        "automountServiceAccountToken must not be true",
    ),
    (
        |w| pod(w)["volumes"] = json!([{ "name": "duckworker-tls", "emptyDir": {} }]),
        "the volume name duckworker-tls is taken",
    ),
    (
        |w| container(w)["env"] = json!([{ "name": "DUCKWORKER_UID", "value": "x" }]),
        "variables whose names start with DUCKWORKER_ are set by Duckworker itself",
    ),
    (
        |w| {
            w["spec"]["connection"]["tokenEnv"] = json!("TOKEN");
            container(w)["env"] = json!([{ "name": "TOKEN", "value": "x" }]);
        },
        "sets the variable of spec.connection.tokenEnv",
    ),
    (
        |w| w["spec"]["connection"]["tokenEnv"] = json!("DUCKWORKER_UID"),
        "spec.connection.tokenEnv is a variable that Duckworker sets itself",
    ),
    (
        |w| {
            let mount = json!([{ "name": "a", "mountPath": "/etc/duckworker/tls/x" }]);
            container(w)["volumeMounts"] = mount;
        },
        "mounts something at spec.connection.tlsDir",
    ),
    (
        |w| w["spec"]["template"]["metadata"] = json!({ "labels": { "duckworker.dev/x": "y" } }),
        "labels and annotations that start with duckworker.dev/",
    ),
    (|w| w["spec"]["connection"]["port"] = json!(0), "greater than or equal to 1"),
    (|w| w["spec"]["connection"]["port"] = json!(70_000), "less than or equal to 65535"),
    (|w| w["spec"]["drainTimeoutSeconds"] = json!(-1), "greater than or equal to 1"),
    (|w| w["spec"]["startupTimeoutSeconds"] = json!(0), "greater than or equal to 1"),
    (|w| w["spec"]["healthCheck"] = json!({ "periodSeconds": 0 }), "greater than or equal to 1"),
    (|w| w["spec"]["tenant"] = json!("Not A Label"), "spec.tenant must be a DNS label"),
    (|w| w["spec"]["tenant"] = json!("a.b"), "spec.tenant must be a DNS label"),
    (|w| w["metadata"]["name"] = json!("a.b"), "metadata.name must be a DNS label"),
    (|w| w["metadata"]["name"] = json!("x".repeat(58)), "metadata.name must be a DNS label"),
    (|w| w["metadata"]["name"] = json!("x".repeat(200)), "metadata.name must be a DNS label"),
    (|w| w["spec"]["drainTimeout"] = json!(5), "unknown field \"spec.drainTimeout\""),
    (|w| pod(w)["containers"][0]["ports"] = json!("x"), "must be of type array"),
];

/// Ways to make a template large.
const LARGE: &[Case] = &[
    (
        |w| container(w)["env"] = json!([{ "name": "A", "value": "x".repeat(1_000_000) }]),
        "may not be more than 32768",
    ),
    (
        |w| container(w)["args"] = json!(vec!["x".repeat(30_000); 33]),
        "spec.template holds more than 65536 characters",
    ),
    (
        |w| {
            let annotations = json!({ "a": "x".repeat(30_000), "b": "x".repeat(30_000),
                                      "c": "x".repeat(30_000) });
            w["spec"]["template"]["metadata"] = json!({ "annotations": annotations });
        },
        "spec.template holds more than 65536 characters",
    ),
    (
        |w| {
            let key = format!("a/{}", "x".repeat(1_000_000));
            w["spec"]["template"]["metadata"] = json!({ "labels": { key: "y" } });
        },
        "a key in a map of spec.template is longer than 317 characters",
    ),
    (
        |w| {
            let variables: Vec<Value> = (0..10_000)
                .map(|n| json!({ "name": format!("A{n}"), "value": "x".repeat(80) }))
                .collect();
            container(w)["env"] = json!(variables);
        },
        "must have at most 64 items",
    ),
    (
        |w| {
            let more = (0..4).map(|n| {
                let variables: Vec<Value> =
                    (0..60).map(|v| json!({ "name": format!("A{v}"), "value": "x" })).collect();
                json!({ "name": format!("c{n}"), "image": "i", "env": variables })
            });
            let own = container(w).clone();
            pod(w)["containers"] = more.chain([own]).collect();
        },
        "all containers together may have 128 variables",
    ),
];

#[tokio::test]
async fn a_spoiled_worker_is_refused_with_a_sentence() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("bad-input", async |ns| {
            let tries = SPOILED.iter().map(|case| try_case(ns, case));
            stream::iter(tries).buffer_unordered(6).try_collect::<Vec<()>>().await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_template_of_a_megabyte_is_refused() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("large", async |ns| {
            let tries = LARGE.iter().map(|case| try_case(ns, case));
            stream::iter(tries).buffer_unordered(2).try_collect::<Vec<()>>().await?;
            Ok(())
        })
        .await
}

async fn try_case(ns: &TestNamespace<'_>, (spoil, sentence): &Case) -> Result<()> {
    let mut worker = worker::plain("bad");
    spoil(&mut worker);
    let manifest = worker.to_string();
    let begin: String = manifest.chars().take(400).collect();
    // Created, not applied: kubectl's own annotation has a limit as well.
    let args = ["--namespace", &ns.name, "create", "-f", "-"];
    let identity = ns.cluster.user("admin")?;
    let refusal = ns.cluster.kubectl_as(identity, &args, &manifest).await?.refused()?;
    ensure!(refusal.contains(sentence), "{begin}: {refusal}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_change_says_so() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("unchangeable", async |ns| {
            ns.kubectl_apply_str(&worker::plain("free").to_string()).await?.ok()?;
            ns.kubectl_apply_str(&worker::dedicated("bound", "acme").to_string()).await?.ok()?;
            let image =
                r#"{"spec":{"template":{"spec":{"containers":[{"name":"duckdb","image":"b"}]}}}}"#;
            for (name, patch, sentence) in [
                ("free", image, "spec.template cannot be changed"),
                ("free", r#"{"spec":{"tenant":"acme"}}"#, "spec.tenant cannot be set"),
                ("bound", r#"{"spec":{"tenant":"other"}}"#, "spec.tenant cannot be set, changed"),
                ("bound", r#"{"spec":{"tenant":null}}"#, "spec.tenant cannot be set, changed or"),
                ("free", r#"{"spec":{"connection":{"port":1}}}"#, "spec.connection cannot be"),
            ] {
                let command = ["patch", "dw", name, "--type=merge", "-p", patch];
                let refusal = ns.kubectl(&command).await?.refused()?;
                ensure!(refusal.contains(sentence), "{patch}: {refusal}");
            }
            let longer = r#"{"spec":{"drainTimeoutSeconds":60}}"#;
            ns.kubectl(&["patch", "dw", "free", "--type=merge", "-p", longer]).await?.ok()?;
            Ok(())
        })
        .await
}
