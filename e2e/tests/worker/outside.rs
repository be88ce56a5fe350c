//! What is to be seen of the controller from outside: how many calls it makes, what its process
//! serves, and what it never shows.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, labels};
use duckworker_client::connection::PROGRAM;
use duckworker_e2e::canary::{Canaries, OF_WORKERS, Talker};
use duckworker_e2e::in_process::quick_settings;
use duckworker_e2e::scenario::{bring, condition, controller, controller_with, scenario, status};
use duckworker_e2e::worker::{dedicated, is, plain};
use duckworker_e2e::{AuditEvent, TestNamespace, await_gone, controller_binary};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::DeleteParams;

/// The calls about one namespace that the controller made since a mark.
fn calls(
    ns: &TestNamespace<'_>,
    events: &[AuditEvent],
    which: impl Fn(&AuditEvent) -> bool,
) -> Vec<String> {
    let ours = |event: &AuditEvent| {
        event.namespace() == ns.name
            && event.stage == "ResponseComplete"
            && event.user_agent == PROGRAM
            && event.resource() != "leases"
            && event.resource() != "events"
    };
    let shown = |event: &AuditEvent| {
        format!("{} {} {} {:?}", event.verb, event.resource(), event.name(), event.code())
    };
    events.iter().filter(|e| ours(e) && which(e)).map(shown).collect()
}

fn is_read(event: &AuditEvent) -> bool {
    matches!(event.verb.as_str(), "get" | "list")
}

#[tokio::test]
async fn an_applied_worker_is_idle_after_six_writes_and_no_read() -> Result<()> {
    scenario("calls-spawn", async |ns| {
        let _controller = controller(ns)?;
        // The first one waits until the watches run.
        bring(ns, plain("warm-up"), "Idle").await?;
        let begin = ns.cluster.audit().mark()?;
        bring(ns, plain("w1"), "Idle").await?;
        let done = |events: &[AuditEvent]| calls(ns, events, AuditEvent::is_write).len() >= 6;
        let events = ns.cluster.audit().await_events(begin, "its calls", done).await?;
        let writes = calls(ns, &events, AuditEvent::is_write);
        ensure!(writes.len() == 6, "{writes:#?}");
        let reads = calls(ns, &events, is_read);
        ensure!(reads.is_empty(), "{reads:#?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deleted_worker_is_gone_after_five_writes() -> Result<()> {
    scenario("calls-drain", async |ns| {
        let _controller = controller(ns)?;
        let worker = bring(ns, plain("w1"), "Idle").await?;
        let begin = ns.cluster.audit().mark()?;
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &worker).await?;
        let done = |events: &[AuditEvent]| calls(ns, events, AuditEvent::is_write).len() >= 5;
        let events = ns.cluster.audit().await_events(begin, "its calls", done).await?;
        let writes = calls(ns, &events, AuditEvent::is_write);
        ensure!(writes.len() == 5, "{writes:#?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_program_that_is_shipped_knows_no_planted_bugs() -> Result<()> {
    let switch = b"DUCKWORKER_PLANTED";
    let holds = |program: &std::path::Path, text: &[u8]| -> Result<bool> {
        Ok(std::fs::read(program)?.windows(text.len()).any(|window| window == text))
    };
    let shipped = controller_binary().await?;
    ensure!(holds(shipped, labels::FINALIZER.as_bytes())?, "not the controller, or not readable");
    ensure!(!holds(shipped, switch)?, "{} has the switch", shipped.display());
    // Test builds have it, or this test would say nothing.
    ensure!(holds(&std::env::current_exe()?, switch)?, "no build has the switch");
    Ok(())
}

#[tokio::test]
async fn workers_at_rest_cost_nothing() -> Result<()> {
    scenario("calls-rest", async |ns| {
        let _controller = controller(ns)?;
        let start = ns.cluster.audit().mark()?;
        let names: Vec<_> = (0..20).map(|number| format!("w{number}")).collect();
        try_join_all(names.iter().map(|name| bring(ns, plain(name), "Idle"))).await?;
        // The answers to the last writes are on their way back as watch events: a change of one
        // more object is seen after them.
        bring(ns, plain("last"), "Idle").await?;
        let all = |events: &[AuditEvent]| calls(ns, events, AuditEvent::is_write).len() >= 6 * 21;
        ns.cluster.audit().await_events(start, "all of its writes", all).await?;
        let begin = ns.cluster.audit().mark()?;
        // Ten seconds in which nothing is to happen: the one thing that cannot be awaited.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let seen = calls(ns, &ns.cluster.audit().since(begin)?, |event| event.verb != "watch");
        ensure!(seen.is_empty(), "{seen:#?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_dedicated_worker_tells_people_and_tools_how_it_stands() -> Result<()> {
    scenario("seen", async |ns| {
        let _controller = controller(ns)?;
        let hot = bring(ns, dedicated("w1", "acme"), "Hot").await?;
        let ready = condition(&hot, "Ready").context("a condition")?;
        ensure!(ready.status == "True" && ready.observed_generation == hot.metadata.generation);
        ensure!(status(&hot)?.observed_generation == hot.metadata.generation);
        ensure!(status(&hot)?.tenant.as_deref() == Some("acme"));
        let names: Vec<_> = status(&hot)?.transitions.iter().map(|t| t.name.as_str()).collect();
        ensure!(
            names == ["activated", "activate", "claim_idle", "ready", "adopt_new"],
            "{names:?}"
        );
        let ready = ["wait", "--for=condition=Ready", "--timeout=5s", "dw/w1"];
        ns.kubectl(&ready).await?.ok()?;
        let printed = ns.kubectl(&["get", "dw"]).await?.ok()?;
        let row = printed.lines().nth(1).context("a row")?;
        let cells: Vec<_> = row.split_whitespace().take(5).collect();
        ensure!(cells == ["w1", "Hot", "acme", "True", "2"], "{printed}");
        ensure!(printed.lines().all(|line| line.len() <= 100), "{printed}");
        let described = ns.kubectl(&["describe", "dw", "w1"]).await?.ok()?;
        ensure!(described.contains("Events:") && described.contains("<none>"), "{described}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_grace_that_is_shorter_than_the_drain_is_told() -> Result<()> {
    scenario("short-grace", async |ns| {
        let _controller = controller(ns)?;
        let mut worker = plain("w1");
        worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = serde_json::json!(1);
        let idle = bring(ns, worker, "Idle").await?;
        let told = condition(&idle, "GraceShortened").context("a condition")?;
        ensure!(told.message.contains("remove it from the template"), "{}", told.message);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_finished_worker_is_deleted_when_it_was_to_be_seen_for_long_enough() -> Result<()> {
    scenario("ttl", async |ns| {
        let mut settings = quick_settings(&ns.name)?;
        settings.concurrency = std::num::NonZeroUsize::MIN;
        let _controller = controller_with(ns, settings)?;
        let mut worker = plain("w1");
        worker["spec"]["ttlSecondsAfterFinished"] = serde_json::json!(1);
        let idle = bring(ns, worker, "Idle").await?;
        let force = DeleteParams::default().grace_period(0);
        ns.api::<k8s_openapi::api::core::v1::Pod>().delete("w1", &force).await?;
        await_gone(&ns.api(), &idle).await
    })
    .await
}

#[tokio::test]
async fn the_process_serves_its_health_and_shows_no_secret() -> Result<()> {
    scenario("process", async |ns| {
        let process = Talker::start(ns).await?;
        let idle = bring(ns, plain("w1"), "Idle").await?;
        bring(ns, dedicated("w2", "acme"), "Hot").await?;
        let mut canaries = Canaries::default();
        for secret in ["w1-rpc", "w2-rpc"] {
            canaries.add(ns, secret, &OF_WORKERS).await?;
        }

        ensure!(process.get("/livez").await?.0 == 200);
        ensure!(process.get("/readyz").await?.0 == 200);
        let metrics = process.metrics().await?;
        for line in [
            r#"duckworker_workers{state="Hot"} 1"#,
            r#"duckworker_workers{state="Idle"} 1"#,
            r#"transition="adopt_new",outcome="transitioned",origin="spawn"} 2"#,
            r#"duckworker_reconciles_total{controller="worker",result="ok"}"#,
            r#"resource="pods""#,
        ] {
            ensure!(metrics.contains(line), "no {line} in\n{metrics}");
        }

        // A secret that is deleted makes the controller talk; so does a deletion.
        ns.api::<Secret>().delete("w2-rpc", &DeleteParams::default()).await?;
        ns.await_object::<DuckWorker>("w2", "Retired", is("Retired")).await?;
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        await_gone(&ns.api(), &idle).await?;
        let events = ns.kubectl(&["get", "events,dw", "-o", "yaml"]).await?.ok()?;
        let later = process.metrics().await?;
        let drained = r#"transition="retire_drained",outcome="transitioned""#;
        ensure!(!metrics.contains(drained) && later.contains(drained), "{later}");
        let log = process.stop().await?;
        ensure!(log.contains(&idle.name_any()), "the log says little");
        let audit = std::fs::read_to_string(ns.cluster.audit().path())?;
        canaries.look_in(&[
            ("log", &log),
            ("metrics", &metrics),
            ("metrics after the end", &later),
            ("events and status", &events),
            ("audit log", &audit),
        ])?;
        Ok(())
    })
    .await
}
