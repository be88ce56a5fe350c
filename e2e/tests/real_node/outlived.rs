//! A process that outlives its pod object: nobody's worker any more, and nobody can make it another
//! one's.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::real::Ran;
use duckworker_e2e::real::duckdb::{dedicated, load, tenant};
use duckworker_e2e::real::loss::{BY_THE_KUBELET, Loss, await_no_trace};
use duckworker_e2e::scenario::{bring, controller, status};
use duckworker_e2e::sql::{Access, Sql, refusal};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tonic::Code;

use super::broken::on_a_node_to_break;

/// A kubelet that starts again ends what has no pod.
const ENDED: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_process_that_outlives_its_pod_takes_no_lower_epoch() -> Result<Ran> {
    on_a_node_to_break("outlived", story).await
}

async fn story(ns: &TestNamespace<'_>) -> Result<()> {
    load(ns).await?;
    let controller = controller(ns)?;
    tenant(ns, "acme", "CREATE TABLE greetings AS SELECT 'hello' AS word").await?;
    let worker: DuckWorker = bring(ns, dedicated("w1", "acme"), "Hot").await?;
    let pod: Pod = ns.api().get("w1").await?;
    let mut sql = Access::to(ns, &worker).await?.connect().await?;

    let kubelet = ns.cluster.real_node()?.kubelet();
    kubelet.kill()?;
    let outlived = Box::pin(outlive(ns, &worker, &mut sql)).await;
    kubelet.start()?;
    outlived?;
    let started = Instant::now();
    ns.api::<Secret>().delete("acme-activation", &DeleteParams::default()).await?;
    await_no_trace(ns, &pod).await?;
    let took = started.elapsed();
    eprintln!(
        "what outlived its pod has ended {} ms after its kubelet came back",
        took.as_millis()
    );
    ensure!(took < ENDED, "after {took:?}");
    ensure!(sql.health().await.is_err(), "somebody answers still");
    controller.stop().await
}

/// Nobody ends the process, since there is no kubelet.
async fn outlive(ns: &TestNamespace<'_>, worker: &DuckWorker, sql: &mut Sql) -> Result<()> {
    let forced = Instant::now();
    ns.api::<Pod>().delete("w1", &DeleteParams::default().grace_period(0)).await?;
    let gone = Loss {
        fault: "DuckDB: pod deleted by force, no kubelet",
        reason: "PodGone",
        sentence: "its pod is gone",
        within: BY_THE_KUBELET,
    };
    gone.is_told(ns, forced).await?;
    let health = sql.health().await.context("its process did not outlive it")?;
    let epoch = status(worker)?.owner_epoch.context("an epoch")?;
    ensure!(health["owner_epoch"] == json!(epoch), "{health} {epoch}");

    let uid = worker.uid().context("a uid")?;
    for (epoch, uid, tenant, refused) in [
        (epoch - 1, uid.as_str(), "acme", Code::FailedPrecondition),
        (0, &uid, "acme", Code::FailedPrecondition),
        (epoch, &uid, "other", Code::PermissionDenied),
        (epoch + 1, &uid, "other", Code::PermissionDenied),
        // A namesake that was made after it.
        (epoch + 1, "10000000-0000-4000-8000-000000000000", "acme", Code::FailedPrecondition),
    ] {
        let body = activation(epoch, uid, tenant);
        let code = refusal(sql.action("ActivateTenant", &body).await)?;
        ensure!(code == refused, "{code:?} to {body}");
    }
    let health = sql.health().await?;
    ensure!(health["owner_epoch"] == json!(epoch) && health["healthy"] == true, "{health}");
    Ok(())
}

fn activation(epoch: i64, uid: &str, tenant: &str) -> Value {
    json!({
        "owner_epoch": epoch, "worker_id": uid, "org_id": tenant, "cp_instance_id": "late",
        "statements": ["DROP TABLE greetings"],
    })
}
