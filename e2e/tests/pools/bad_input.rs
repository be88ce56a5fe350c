//! Bad input is refused with a sentence that says what to write instead; and statuses that break
//! the rule of numbers are refused whoever writes them.

use anyhow::{Result, ensure};
use duckworker_api::DuckWorkerPool;
use duckworker_e2e::pool::pool;
use duckworker_e2e::scenario::scenario;
use serde_json::{Value, json};

/// How a good pool is spoiled, and what the user reads.
type Case = (fn(&mut Value), &'static str);

const SPOILED: &[Case] = &[
    (|p| p["spec"]["replicas"] = json!(11), "must not be greater than spec.maxWorkers"),
    (|p| p["spec"]["replicas"] = json!(-1), "greater than or equal to 0"),
    (|p| p["spec"]["maxWorkers"] = json!(0), "greater than or equal to 1"),
    (|p| p["spec"]["maxWorkers"] = json!(5001), "less than or equal to 5000"),
    (
        |p| p["spec"]["updateStrategy"] = json!({ "maxUnavailable": 0 }),
        "maxUnavailable and maxSurge must not both be 0",
    ),
    (
        |p| p["spec"]["hotIdle"] = json!({ "minPerTenant": 3, "maxPerTenant": 2 }),
        "minPerTenant must not be greater than",
    ),
    (
        |p| p["spec"]["spawn"] = json!({ "backoffSeconds": 9, "maxBackoffSeconds": 3 }),
        "backoffSeconds must not be greater than",
    ),
    (
        |p| p["spec"]["demand"] = json!({ "maxExtra": 11 }),
        "spec.demand.maxExtra must not be greater than spec.maxWorkers",
    ),
    (|p| p["spec"]["demand"] = json!({ "windowSeconds": 3601 }), "less than or equal to 3600"),
    (|p| p["spec"]["disruption"] = json!("Never"), "Unsupported value"),
    (|p| p["spec"]["template"]["spec"]["tenant"] = json!("a"), "tenant must be left out"),
    (
        |p| {
            p["spec"]["template"]["spec"]["template"]["spec"]["containers"][0]["name"] =
                json!("main");
        },
        "exactly one container named duckdb",
    ),
    (
        |p| {
            p["spec"]["template"]["spec"]["connection"] = Value::Null;
            p["spec"]["template"]["spec"]["template"]["spec"]["containers"][0]["env"] =
                json!([{ "name": "DUCKWORKER_X", "value": "x" }]);
        },
        "variables whose names start with DUCKWORKER_",
    ),
    (
        |p| {
            p["spec"]["template"]["metadata"] = json!({ "labels": { "duckworker.dev/x": "y" } });
        },
        "leave them out of spec.template.metadata",
    ),
    (|p| p["spec"]["template"] = json!({}), "spec.template.spec: Required value"),
    (|p| p["spec"] = json!({}), "spec.template: Required value"),
    (|p| p["spec"]["reuse"] = json!("Always"), "Unsupported value"),
    (|p| p["spec"]["size"] = json!(3), "unknown field \"spec.size\""),
    (|p| p["metadata"]["name"] = json!("x".repeat(39)), "at most 38 characters"),
    (|p| p["metadata"]["name"] = json!("a.b"), "metadata.name must be a DNS label"),
];

#[tokio::test]
async fn a_spoiled_pool_is_refused_with_a_sentence() -> Result<()> {
    scenario("pool-bad-input", async |ns| {
        for (spoil, sentence) in SPOILED {
            let mut spoiled = pool("p", 1, 10);
            spoil(&mut spoiled);
            let manifest = spoiled.to_string();
            let refusal = ns.kubectl_apply_str(&manifest).await?.refused()?;
            ensure!(refusal.contains(sentence), "{manifest}: {refusal}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_sample_is_accepted_and_explained() -> Result<()> {
    scenario("pool-sample", async |ns| {
        let sample = serde_json::to_string(&duckworker_api::samples::pool())?;
        ns.kubectl_apply_str(&sample).await?.ok()?;
        let pool: DuckWorkerPool = ns.api().get("sample").await?;
        let ready = pool.status.and_then(|status| status.conditions.into_iter().next());
        ensure!(ready.is_some_and(|c| c.type_ == "Ready" && c.status == "Unknown"));
        Ok(())
    })
    .await
}

/// Writes the numbers of a pool, as somebody would who may.
async fn write(ns: &duckworker_e2e::TestNamespace<'_>, ordinals: &Value) -> Result<Option<String>> {
    let patch = json!({ "status": { "ordinals": ordinals } }).to_string();
    let args = ["patch", "dwp", "p", "--subresource=status", "--type=merge", "-p", &patch];
    let output = ns.kubectl(&args).await?;
    Ok(output.refused().ok())
}

#[tokio::test]
async fn no_number_is_given_twice_whoever_writes() -> Result<()> {
    scenario("pool-numbers", async |ns| {
        ns.create::<DuckWorkerPool>(pool("p", 1, 2)).await?;
        let two = json!({ "next": 2, "taken": [{ "ordinal": 0, "uid": "u-0" }, { "ordinal": 1 }] });
        ensure!(write(ns, &two).await?.is_none());
        for (bad, sentence) in [
            (json!({ "next": 1 }), "never falls"),
            (
                json!({ "next": 3, "taken": [{ "ordinal": 0, "uid": "u-0" }, { "ordinal": 1 },
                                             { "ordinal": 2 }] }),
                "must not grow beyond spec.maxWorkers",
            ),
            (json!({ "taken": [{ "ordinal": 0, "uid": "u-9" }, { "ordinal": 1 }] }), "set once"),
            (json!({ "taken": [{ "ordinal": 5 }] }), "must rise by as many"),
        ] {
            let refusal = write(ns, &bad).await?.unwrap_or_default();
            ensure!(refusal.contains(sentence), "{bad}: {refusal}");
        }
        let freed = json!({ "taken": [{ "ordinal": 1, "uid": "u-1" }] });
        ensure!(write(ns, &freed).await?.is_none());
        let again = json!({ "taken": [{ "ordinal": 0 }, { "ordinal": 1, "uid": "u-1" }] });
        let refusal = write(ns, &again).await?.unwrap_or_default();
        ensure!(refusal.contains("is not taken again"), "{refusal}");
        Ok(())
    })
    .await
}
