//! A cap holds, and what waits for it says so.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::await_list;
use duckworker_e2e::claim::{bind, claim, condition, is, phase, source, waits_for, worker_of};
use duckworker_e2e::pool::{await_count, pool, workers};
use duckworker_e2e::scenario::{self, bring, controller, scenario, status};
use duckworker_e2e::tenant::tenant;
use duckworker_e2e::worker::{dedicated, state};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::runtime::watcher;
use serde_json::json;

use crate::{cap, capped, observed, says, uses};

#[tokio::test]
async fn a_tenant_at_its_cap_waits_and_others_do_not() -> Result<()> {
    scenario("cap-waits", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckTenant>(capped("acme", 1)).await?;
        ns.create::<DuckWorkerPool>(pool("p", 2, 9)).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let first = bind(ns, claim("a1", "p", "acme")).await?;
        ns.await_object::<DuckTenant>("acme", "at its cap", says("TenantAtCap")).await?;
        ns.create::<DuckWorkerClaim>(claim("a2", "p", "acme")).await?;
        let waits = waits_for("TenantAtCap");
        let waiting: DuckWorkerClaim = ns.await_object("a2", "waiting", waits).await?;
        let message = condition(&waiting, "Ready").map(|c| c.message.clone()).unwrap_or_default();
        ensure!(message.contains("tenant acme holds 1 workers and may hold 1"), "{message}");
        bind(ns, claim("b1", "p", "other")).await?;
        let table = ns.kubectl(&["get", "dt"]).await?.ok()?;
        ensure!(table.lines().nth(1).is_some_and(|l| l.contains("acme   1      1")), "{table}");
        // What is given back serves the next claim of the same tenant, and counts no second time.
        ns.api::<DuckWorkerClaim>().delete("a1", &DeleteParams::default()).await?;
        let second: DuckWorkerClaim = ns.await_object("a2", "Ready", is("Ready")).await?;
        ensure!(worker_of(&second)? == worker_of(&first)? && source(&second) == "HotIdle");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_place_comes_free_when_the_pod_is_gone() -> Result<()> {
    scenario("cap-freed", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckTenant>(capped("acme", 1)).await?;
        let mut once = pool("p", 2, 9);
        once["spec"]["reuse"] = json!("Never");
        ns.create::<DuckWorkerPool>(once).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let first = bind(ns, claim("a1", "p", "acme")).await?;
        ns.create::<DuckWorkerClaim>(claim("a2", "p", "acme")).await?;
        ns.await_object::<DuckWorkerClaim>("a2", "waiting", waits_for("TenantAtCap")).await?;
        ns.api::<DuckWorkerClaim>().delete("a1", &DeleteParams::default()).await?;
        let second: DuckWorkerClaim = ns.await_object("a2", "Ready", is("Ready")).await?;
        ensure!(worker_of(&second)? != worker_of(&first)?);
        ns.await_object::<DuckTenant>("acme", "holding one", uses(1)).await?;
        ns.api::<DuckWorkerClaim>().delete("a2", &DeleteParams::default()).await?;
        ns.await_object::<DuckTenant>("acme", "holding none", uses(0)).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn many_claims_through_two_replicas_never_hold_more() -> Result<()> {
    scenario("cap-crowd", async |ns| {
        let (_first, _second) = (controller(ns)?, controller(ns)?);
        for name in ["t0", "t1"] {
            ns.create::<DuckTenant>(capped(name, 3)).await?;
        }
        ns.create::<DuckWorkerPool>(pool("p", 4, 20)).await?;
        await_count(ns, "p", "Idle", 4).await?;
        let names: Vec<String> = (0..24).map(|n| format!("c{n:02}")).collect();
        let create = names.iter().enumerate().map(|(number, name)| {
            ns.create::<DuckWorkerClaim>(claim(name, "p", &format!("t{}", number % 2)))
        });
        futures::future::try_join_all(create).await?;
        let mut left = names.len();
        while left > 0 {
            let ready = |all: &[DuckWorkerClaim]| all.iter().any(|c| phase(c) == "Ready");
            let all = watcher::Config::default();
            let claims = await_list(&ns.api::<DuckWorkerClaim>(), &all, "served", ready).await?;
            for name in ["t0", "t1"] {
                let held = workers(ns, "p").await?.into_iter().filter(|worker| {
                    let own = worker.status.as_ref().and_then(|s| s.tenant.as_deref());
                    own == Some(name) && !["Retired", "Lost"].contains(&state(worker))
                });
                let held: Vec<String> = held.map(|worker| worker.name_any()).collect();
                ensure!(held.len() <= 3, "{name} holds {held:?}");
            }
            for done in claims.iter().filter(|c| phase(c) == "Ready") {
                let api = ns.api::<DuckWorkerClaim>();
                api.delete(&done.name_any(), &DeleteParams::default()).await?;
                left -= 1;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cap_that_is_lowered_kills_nobody_and_lets_nobody_in() -> Result<()> {
    scenario("cap-lowered", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 3, 9)).await?;
        await_count(ns, "p", "Idle", 3).await?;
        // Claimed while it had no cap: the ledger knows nothing of them yet.
        let bound =
            [bind(ns, claim("a1", "p", "acme")).await?, bind(ns, claim("a2", "p", "acme")).await?];
        ns.create::<DuckTenant>(capped("acme", 1)).await?;
        ns.await_object::<DuckTenant>("acme", "over its cap", says("OverCap")).await?;
        ns.await_object::<DuckTenant>("acme", "observed", observed).await?;
        ns.create::<DuckWorkerClaim>(claim("a3", "p", "acme")).await?;
        ns.await_object::<DuckWorkerClaim>("a3", "waiting", waits_for("TenantAtCap")).await?;
        for claim in &bound {
            let worker: DuckWorker = ns.api().get(worker_of(claim)?).await?;
            ensure!(state(&worker) == "Hot", "{} is {}", worker.name_any(), state(&worker));
        }
        cap(ns, "acme", 3).await?;
        ns.await_object::<DuckWorkerClaim>("a3", "Ready", is("Ready")).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_parked_worker_of_another_pool_makes_room() -> Result<()> {
    scenario("cap-elsewhere", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckTenant>(capped("acme", 1)).await?;
        for name in ["p", "q"] {
            let mut pool = pool(name, 1, 9);
            pool["spec"]["hotIdle"] = json!({ "ttlSeconds": 3600 });
            ns.create::<DuckWorkerPool>(pool).await?;
            await_count(ns, name, "Idle", 1).await?;
        }
        let first = bind(ns, claim("a1", "p", "acme")).await?;
        ns.api::<DuckWorkerClaim>().delete("a1", &DeleteParams::default()).await?;
        await_count(ns, "p", "HotIdle", 1).await?;
        let second = bind(ns, claim("a2", "q", "acme")).await?;
        ensure!(worker_of(&second)? != worker_of(&first)?);
        let old: DuckWorker = ns.api().get(worker_of(&first)?).await?;
        ensure!(state(&old) == "Retired", "{}", state(&old));
        ensure!(duckworker_e2e::worker::reason(&old) == Some("Displaced"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_dedicated_worker_waits_for_its_turn() -> Result<()> {
    scenario("cap-dedicated", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckTenant>(capped("acme", 1)).await?;
        bring(ns, dedicated("w1", "acme"), "Hot").await?;
        ns.create::<DuckWorker>(dedicated("w2", "acme")).await?;
        let told = scenario::says("TenantAtCap", "TenantAtCap");
        let waiting: DuckWorker = ns.await_object("w2", "told of the cap", told).await?;
        ensure!(state(&waiting) == "Idle" && status(&waiting)?.tenant.is_none());
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        let hot = |worker: &DuckWorker| state(worker) == "Hot";
        let hot: DuckWorker = ns.await_object("w2", "Hot", hot).await?;
        let names: BTreeSet<_> =
            status(&hot)?.conditions.iter().map(|condition| condition.type_.as_str()).collect();
        ensure!(!names.contains("TenantAtCap"), "{names:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn undeclared_tenants_are_served_only_where_the_pool_says_so() -> Result<()> {
    scenario("cap-undeclared", async |ns| {
        let _controller = controller(ns)?;
        let mut strict = pool("p", 1, 9);
        strict["spec"]["undeclaredTenants"] = json!("Refuse");
        ns.create::<DuckWorkerPool>(strict).await?;
        await_count(ns, "p", "Idle", 1).await?;
        ns.create::<DuckWorkerClaim>(claim("c", "p", "acme")).await?;
        let waits = waits_for("TenantUndeclared");
        let waiting: DuckWorkerClaim = ns.await_object("c", "waiting", waits).await?;
        let message = condition(&waiting, "Ready").map(|c| c.message.clone()).unwrap_or_default();
        ensure!(message.contains("create DuckTenant acme"), "{message}");
        ns.create::<DuckTenant>(tenant("acme", &json!({}))).await?;
        ns.await_object::<DuckWorkerClaim>("c", "Ready", is("Ready")).await?;
        Ok(())
    })
    .await
}
