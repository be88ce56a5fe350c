//! A worker that really is DuckDB, in a pod that a real kubelet runs: spoken to over Flight with
//! the certificate and the token of its secret, activated with its tenant's own statements.
//!
//! | file | holds |
//! |---|---|
//! | [`activation`] | how it becomes Hot, or not |
//! | [`claims`] | SQL by a claim, while controllers come and go |
//! | [`drain`] | its end while queries run |
//! | [`limits`] | what it may take and do |
//! | [`losses`] | its end by a fault |
//! | [`refresh`] | its tenant's secret changes |
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod activation;
mod claims;
mod drain;
mod limits;
mod losses;
mod refresh;

use anyhow::Result;
use duckworker_api::DuckWorker;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::real::duckdb::{load, tenant};
use duckworker_e2e::real::loss;
use duckworker_e2e::scenario::bring;
use duckworker_e2e::sql::Access;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::DeleteParams;
use serde_json::Value;

/// So many rows that most of them wait in the worker: a hundred megabytes.
const ROWS: usize = 200_000;

/// The worker `w1`, which serves the tenant `acme`.
struct Serving {
    worker: DuckWorker,
    pod: Pod,
    access: Access,
}

/// Brings it up. Its tenant's workers run these statements.
async fn serving(ns: &TestNamespace<'_>, worker: Value, statements: &str) -> Result<Serving> {
    load(ns).await?;
    tenant(ns, "acme", statements).await?;
    let worker = bring(ns, worker, "Hot").await?;
    let pod = ns.api().get("w1").await?;
    let access = Access::to(ns, &worker).await?;
    Ok(Serving { worker, pod, access })
}

/// Waits until nothing is left of the worker, whose tenant goes as well.
async fn await_no_trace(ns: &TestNamespace<'_>, pod: &Pod) -> Result<()> {
    ns.api::<Secret>().delete("acme-activation", &DeleteParams::default()).await?;
    loss::await_no_trace(ns, pod).await
}
