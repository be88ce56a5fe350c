//! The lives of claims.

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::TestNamespace;
use duckworker_e2e::claim::{claim, is, waits_for, worker_of};
use duckworker_e2e::pool::pool;
use duckworker_e2e::recorder::Recorder;
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_history::line;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::judged::{CURRENT, FAILED, IN_PROGRESS, check, course, judged, of_any_kind};

/// What is true of a claim, by its phase.
fn truth(claim: &Value) -> &'static str {
    let phase = claim["status"]["phase"].as_str().unwrap_or_default();
    of_any_kind(claim).unwrap_or(match phase {
        "Ready" => CURRENT,
        "Lost" | "Failed" => FAILED,
        _ => IN_PROGRESS,
    })
}

/// Takes the pod of a claim's worker away.
async fn lose(ns: &TestNamespace<'_>, name: &str) -> Result<String> {
    let bound: DuckWorkerClaim = ns.await_object(name, "Ready", is("Ready")).await?;
    let worker = worker_of(&bound)?.to_owned();
    ns.api::<Pod>().delete(&worker, &DeleteParams::default().grace_period(0)).await?;
    Ok(worker)
}

#[tokio::test]
async fn every_version_of_a_claim_is_judged_as_it_stands() -> Result<()> {
    scenario("kstatus-claim", async |ns| {
        let recorder = Recorder::start(&ns.client, &ns.name).await?;
        ns.create::<DuckWorkerClaim>(claim("again", "p", "acme")).await?;
        let mut strict = claim("strict", "p", "acme");
        strict["spec"]["onWorkerLoss"] = json!("Fail");
        ns.create::<DuckWorkerClaim>(strict).await?;
        let mut hasty = claim("hasty", "nowhere", "acme");
        hasty["spec"]["timeoutSeconds"] = json!(1);
        ns.create::<DuckWorkerClaim>(hasty).await?;
        let _controller = controller(ns)?;
        let nowhere = waits_for("PoolNotFound");
        ns.await_object::<DuckWorkerClaim>("again", "without a pool", nowhere).await?;
        ns.create::<DuckWorkerPool>(pool("p", 2, 10)).await?;
        let first = lose(ns, "again").await?;
        let other = |claim: &DuckWorkerClaim| {
            is("Ready")(claim) && worker_of(claim).is_ok_and(|worker| worker != first)
        };
        ns.await_object::<DuckWorkerClaim>("again", "bound anew", other).await?;
        lose(ns, "strict").await?;
        ns.await_object::<DuckWorkerClaim>("strict", "Lost", is("Lost")).await?;
        ns.await_object::<DuckWorkerClaim>("hasty", "Failed", is("Failed")).await?;

        let all = judged(ns, recorder, line::CLAIMS).await?;
        check(&all, truth)?;
        for (name, expected) in [
            ("again", &[IN_PROGRESS, CURRENT, IN_PROGRESS, CURRENT][..]),
            ("strict", &[IN_PROGRESS, CURRENT, FAILED]),
            ("hasty", &[IN_PROGRESS, FAILED]),
        ] {
            ensure!(course(&all, name) == expected, "{name}: {:?}", course(&all, name));
        }
        Ok(())
    })
    .await
}
