//! What a DuckDB may take of its node, and what it may do there.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::real::duckdb::dedicated;
use duckworker_e2e::real::stub::containers;
use duckworker_e2e::real::{Ran, real_scenario};
use duckworker_e2e::scenario::controller;
use duckworker_e2e::sql::{refusal, table};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tonic::Code;

use super::serving;

/// Needs more than four fifths of the memory below, and nothing of it can lie on a disk.
const GREEDY: &str = "SELECT list(repeat('x', 1000) || i) FROM range(1000000) AS t(i)";

#[tokio::test]
async fn duckdb_keeps_to_its_container_in_a_restricted_namespace() -> Result<Ran> {
    real_scenario("duckdb-limits", async |ns| {
        let enforce = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        let enforce = Patch::Merge(json!({ "metadata": { "labels": enforce } }));
        let namespaces = ns.cluster_api::<Namespace>();
        namespaces.patch(&ns.name, &PatchParams::default(), &enforce).await?;
        let _controller = controller(ns)?;
        let mut worker = dedicated("w1", "acme");
        let container = &mut worker["spec"]["template"]["spec"]["containers"][0];
        container["resources"]["limits"] = json!({ "memory": "384Mi", "cpu": "1" });
        let serving = serving(ns, worker, "").await?;

        let mut sql = serving.access.connect().await?;
        let settings = "SELECT current_setting('memory_limit') || ', ' \
            || current_setting('threads') || ' thread' AS limits";
        let shown = table(&sql.rows(settings).await?)?;
        ensure!(shown.contains("| 307.1 MiB, 1 thread |"), "{shown}");
        let code = refusal(sql.rows(GREEDY).await)?;
        ensure!(code == Code::ResourceExhausted, "DuckDB says {code:?}");
        let code = refusal(sql.rows("COPY (SELECT 1) TO '/here.csv'").await)?;
        ensure!(code == Code::FailedPrecondition, "the root file system: {code:?}");
        sql.rows("COPY (SELECT 1) TO '/tmp/here.csv'").await?;

        let node = ns.cluster.real_node()?;
        let container = containers(&serving.pod).pop().context("a container")?;
        let processes = node.processes(&container)?;
        ensure!(processes.len() == 1, "{processes:?}");
        let told = fs::read_to_string(format!("/proc/{}/status", processes[0]))?;
        let told: BTreeMap<_, _> = told.lines().filter_map(|line| line.split_once(":\t")).collect();
        let is = |line: &str, value: &str| told.get(line).is_some_and(|is| is.trim() == value);
        ensure!(told.get("Uid").is_some_and(|ids| !ids.split('\t').any(|id| id == "0")));
        ensure!(is("CapPrm", "0000000000000000") && is("CapBnd", "0000000000000000"), "{told:?}");
        ensure!(is("NoNewPrivs", "1"), "{told:?}");
        ensure!(is("Seccomp", "2"), "{told:?}");
        Ok(())
    })
    .await
}
