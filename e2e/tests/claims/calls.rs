//! What a claim costs: the writes of the controller, from the audit log.

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorkerClaim, DuckWorkerPool};
use duckworker_client::connection::PROGRAM;
use duckworker_e2e::claim::{bind, claim, worker_of};
use duckworker_e2e::pool::{await_count, pool};
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_e2e::{AuditEvent, TestNamespace};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::json;

/// The writes of the controller about these objects.
fn writes(ns: &TestNamespace<'_>, events: &[AuditEvent], names: &[&str]) -> Vec<String> {
    let ours = |event: &&AuditEvent| {
        event.namespace() == ns.name
            && event.stage == "ResponseComplete"
            && event.user_agent == PROGRAM
            && event.is_write()
            && names.contains(&event.name())
    };
    let shown = |event: &AuditEvent| {
        format!("{} {} {} {:?}", event.verb, event.resource(), event.name(), event.code())
    };
    events.iter().filter(ours).map(shown).collect()
}

#[tokio::test]
async fn a_claim_is_ready_after_five_writes_and_released_by_one() -> Result<()> {
    scenario("claim-calls", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 2, 10)).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let begin = ns.cluster.audit().mark()?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        let worker = worker_of(&bound)?;
        let its = |events: &[AuditEvent]| writes(ns, events, &["c", "c-conn", worker]);
        let done = |events: &[AuditEvent]| its(events).len() >= 5;
        let events = ns.cluster.audit().await_events(begin, "its writes", done).await?;
        ensure!(its(&events).len() == 5, "{:#?}", its(&events));
        let begin = ns.cluster.audit().mark()?;
        ns.api::<DuckWorkerClaim>().delete("c", &DeleteParams::default()).await?;
        await_count(ns, "p", "HotIdle", 1).await?;
        let done = |events: &[AuditEvent]| !its(events).is_empty();
        let events = ns.cluster.audit().await_events(begin, "its writes", done).await?;
        ensure!(its(&events).len() == 1, "{:#?}", its(&events));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_idle_pods_may_be_evicted_it_is_one_more_write_each_way() -> Result<()> {
    scenario("claim-marks", async |ns| {
        let _controller = controller(ns)?;
        let mut marked = pool("p", 2, 10);
        marked["spec"]["disruption"] = json!("AllowIdle");
        let begin = ns.cluster.audit().mark()?;
        ns.create::<DuckWorkerPool>(marked).await?;
        let idle = await_count(ns, "p", "Idle", 2).await?;
        let made = ns.cluster.audit().since(begin)?;
        for worker in &idle {
            let its = writes(ns, &made, &[&worker.name_any()]);
            ensure!(!its.iter().any(|write| write.starts_with("patch pods")), "{its:#?}");
        }
        let begin = ns.cluster.audit().mark()?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        let worker = worker_of(&bound)?;
        let its = |events: &[AuditEvent]| writes(ns, events, &["c", "c-conn", worker]);
        let done = |events: &[AuditEvent]| its(events).len() >= 6;
        let events = ns.cluster.audit().await_events(begin, "its writes", done).await?;
        ensure!(its(&events).len() == 6, "{:#?}", its(&events));
        let begin = ns.cluster.audit().mark()?;
        ns.api::<DuckWorkerClaim>().delete("c", &DeleteParams::default()).await?;
        let done = |events: &[AuditEvent]| its(events).len() >= 2;
        let events = ns.cluster.audit().await_events(begin, "its writes", done).await?;
        let its = its(&events);
        let marks = its.iter().filter(|write| write.starts_with("patch pods")).count();
        ensure!(its.len() == 2 && marks == 1, "{its:#?}");
        Ok(())
    })
    .await
}
