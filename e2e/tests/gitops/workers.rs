//! The lives of workers.

use anyhow::{Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::recorder::Recorder;
use duckworker_e2e::scenario::{bring, controller, scenario};
use duckworker_e2e::worker::{dedicated, is, plain, with_annotation};
use duckworker_e2e::{annotation, await_gone};
use duckworker_history::line;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::judged::{
    CURRENT, FAILED, IN_PROGRESS, TERMINATING, check, course, judged, of_any_kind,
};

/// What is true of a worker, by its state and its last transition.
fn truth(worker: &Value) -> &'static str {
    if let Some(verdict) = of_any_kind(worker) {
        return verdict;
    }
    let last = &worker["status"]["transitions"][0];
    match worker["status"]["state"].as_str().unwrap_or_default() {
        "Idle" if worker["spec"].get("tenant").is_none() => CURRENT,
        "Retired" if last["name"] == "abandon" => FAILED,
        "Hot" | "HotIdle" | "Retired" => CURRENT,
        "Lost" => FAILED,
        _ => IN_PROGRESS,
    }
}

#[tokio::test]
async fn every_version_of_a_worker_is_judged_as_it_stands() -> Result<()> {
    scenario("kstatus-worker", async |ns| {
        let recorder = Recorder::start(&ns.client, &ns.name).await?;
        // Before there is a controller.
        let created = ns.create::<DuckWorker>(plain("plain")).await?;
        let _controller = controller(ns)?;
        ns.await_object::<DuckWorker>("plain", "Idle", is("Idle")).await?;
        let longer = Patch::Merge(json!({ "spec": { "drainTimeoutSeconds": 6 } }));
        ns.api::<DuckWorker>().patch("plain", &PatchParams::default(), &longer).await?;
        let observed = |worker: &DuckWorker| {
            let seen = worker.status.as_ref().and_then(|status| status.observed_generation);
            seen == Some(2)
        };
        ns.await_object::<DuckWorker>("plain", "observed", observed).await?;
        ns.api::<DuckWorker>().delete("plain", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &created).await?;

        bring(ns, dedicated("own", "acme"), "Hot").await?;

        bring(ns, plain("lost"), "Idle").await?;
        let now = DeleteParams::default().grace_period(0);
        ns.api::<Pod>().delete("lost", &now).await?;
        ns.await_object::<DuckWorker>("lost", "Lost", is("Lost")).await?;

        bring(ns, with_annotation("drained", annotation::STOP_DELAY, "300ms"), "Idle").await?;
        ns.api::<Pod>().delete("drained", &DeleteParams::default()).await?;
        ns.await_object::<DuckWorker>("drained", "Retired", is("Retired")).await?;

        let mut bad = with_annotation("bad", annotation::IMAGE_PULL, "fail");
        bad["spec"]["startupTimeoutSeconds"] = json!(1);
        bring(ns, bad, "Retired").await?;

        let all = judged(ns, recorder, line::WORKERS).await?;
        check(&all, truth)?;
        for (name, expected) in [
            ("plain", &[IN_PROGRESS, CURRENT, IN_PROGRESS, CURRENT, TERMINATING][..]),
            ("own", &[IN_PROGRESS, CURRENT]),
            ("lost", &[IN_PROGRESS, CURRENT, FAILED]),
            ("drained", &[IN_PROGRESS, CURRENT, IN_PROGRESS, CURRENT]),
            ("bad", &[IN_PROGRESS, FAILED]),
        ] {
            ensure!(course(&all, name) == expected, "{name}: {:?}", course(&all, name));
        }
        Ok(())
    })
    .await
}
