//! What a tenant says of its parked workers goes before what the pool says.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::claim::{bind, claim, is, source, waits_for, worker_of};
use duckworker_e2e::pool::{await_count, change, image, image_of, pool, says};
use duckworker_e2e::scenario::{controller, scenario, status};
use duckworker_e2e::tenant::tenant;
use duckworker_e2e::worker::{reason, state};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::observed;

#[tokio::test]
async fn a_pinned_tenant_gets_its_version_and_keeps_it() -> Result<()> {
    scenario("wish-pin", async |ns| {
        let _controller = controller(ns)?;
        let pinned = tenant("acme", &json!({ "image": "duckdb:pinned" }));
        ns.create::<DuckTenant>(pinned).await?;
        ns.create::<DuckWorkerPool>(pool("p", 1, 9)).await?;
        await_count(ns, "p", "Idle", 1).await?;
        let first = bind(ns, claim("a", "p", "acme")).await?;
        let worker: DuckWorker = ns.api().get(worker_of(&first)?).await?;
        ensure!(image_of(&worker)? == "duckdb:pinned", "{}", image_of(&worker)?);
        ensure!(source(&first) == "Cold", "{}", source(&first));
        // It is parked for it, though the pool has another version; and the pool keeps its own.
        ns.api::<DuckWorkerClaim>().delete("a", &DeleteParams::default()).await?;
        await_count(ns, "p", "HotIdle", 1).await?;
        let again = bind(ns, claim("b", "p", "acme")).await?;
        ensure!(worker_of(&again)? == worker_of(&first)? && source(&again) == "HotIdle");
        let other = bind(ns, claim("c", "p", "other")).await?;
        let own: DuckWorker = ns.api().get(worker_of(&other)?).await?;
        ensure!(image_of(&own)? != "duckdb:pinned");
        // A new pin makes the parked one useless, and the next claim gets the new version.
        let patch = Patch::Merge(json!({ "spec": { "image": "duckdb:newer", "maxWorkers": 1 } }));
        ns.api::<DuckTenant>().patch("acme", &PatchParams::default(), &patch).await?;
        // Until then somebody may bind who has not heard of the new pin.
        ns.await_object("acme", "the new pin holds", observed).await?;
        ns.api::<DuckWorkerClaim>().delete("b", &DeleteParams::default()).await?;
        let newer = bind(ns, claim("d", "p", "acme")).await?;
        let newest: DuckWorker = ns.api().get(worker_of(&newer)?).await?;
        ensure!(image_of(&newest)? == "duckdb:newer", "{}", image_of(&newest)?);
        Ok(())
    })
    .await
}

/// A pin stands in the place of the template's image, and nothing else.
#[tokio::test]
async fn a_changed_template_reaches_pinned_workers_but_for_its_image() -> Result<()> {
    scenario("wish-pin-rollout", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckTenant>(tenant("acme", &json!({ "image": "duckdb:pinned" }))).await?;
        let mut pool = pool("p", 1, 9);
        pool["spec"]["hotIdle"] = json!({ "ttlSeconds": 3600 });
        ns.create::<DuckWorkerPool>(pool).await?;
        await_count(ns, "p", "Idle", 1).await?;
        let first = bind(ns, claim("a", "p", "acme")).await?;
        ns.api::<DuckWorkerClaim>().delete("a", &DeleteParams::default()).await?;
        await_count(ns, "p", "HotIdle", 1).await?;
        change(ns, "p", image("example.invalid/duckdb:2")).await?;
        let done = || says("Ready", "True", "AsWanted");
        ns.await_object::<DuckWorkerPool>("p", "of the new image", done()).await?;
        let again = bind(ns, claim("b", "p", "acme")).await?;
        ensure!(worker_of(&again)? == worker_of(&first)? && source(&again) == "HotIdle");
        let labels = json!({ "labels": { "team": "b" } });
        change(ns, "p", json!({ "spec": { "template": { "metadata": labels } } })).await?;
        ns.await_object::<DuckWorkerPool>("p", "of the new label", done()).await?;
        let busy: DuckWorker = ns.api().get(worker_of(&again)?).await?;
        ensure!(state(&busy) == "Hot", "{}", state(&busy));
        ns.api::<DuckWorkerClaim>().delete("b", &DeleteParams::default()).await?;
        let over = |worker: &DuckWorker| state(worker) == "Retired";
        let old: DuckWorker = ns.await_object(worker_of(&again)?, "replaced", over).await?;
        ensure!(reason(&old) == Some("OutOfDate"), "{:?}", reason(&old));
        let anew = bind(ns, claim("c", "p", "acme")).await?;
        let worker: DuckWorker = ns.api().get(worker_of(&anew)?).await?;
        ensure!(image_of(&worker)? == "duckdb:pinned", "{}", image_of(&worker)?);
        ensure!(worker.labels().get("team").is_some_and(|team| team == "b"));
        let pool: DuckWorkerPool = ns.await_object("p", "at rest", done()).await?;
        let made = pool.status.context("a status")?.ordinals.next;
        ensure!(made == 5, "three of the pool's own and two pinned ones: {made}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_workers_of_a_tenant_that_is_gone_drain_where_only_declared_ones_are_served()
-> Result<()> {
    scenario("wish-gone", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckTenant>(tenant("acme", &json!({}))).await?;
        for (name, undeclared) in [("strict", "Refuse"), ("open", "Allow")] {
            let mut pool = pool(name, 2, 9);
            pool["spec"]["undeclaredTenants"] = json!(undeclared);
            ns.create::<DuckWorkerPool>(pool).await?;
            await_count(ns, name, "Idle", 2).await?;
        }
        let mut lost = claim("a", "strict", "acme");
        lost["spec"]["onWorkerLoss"] = json!("Fail");
        let hot = bind(ns, lost).await?;
        let parked = bind(ns, claim("b", "strict", "acme")).await?;
        ns.api::<DuckWorkerClaim>().delete("b", &DeleteParams::default()).await?;
        await_count(ns, "strict", "HotIdle", 1).await?;
        let kept = bind(ns, claim("c", "open", "acme")).await?;
        ns.api::<DuckTenant>().delete("acme", &DeleteParams::default()).await?;
        let over = |worker: &DuckWorker| state(worker) == "Retired";
        for claim in [&hot, &parked] {
            let ended: DuckWorker = ns.await_object(worker_of(claim)?, "Retired", over).await?;
            let reasons = status(&ended)?.transitions.iter().filter_map(|t| t.reason.as_deref());
            ensure!(
                reasons.clone().any(|reason| reason == "TenantDeleted"),
                "{:?}",
                reasons.collect::<Vec<_>>()
            );
        }
        ns.await_object::<DuckWorkerClaim>("a", "Lost", is("Lost")).await?;
        ns.create::<DuckWorkerClaim>(claim("d", "strict", "acme")).await?;
        ns.await_object::<DuckWorkerClaim>("d", "waiting", waits_for("TenantUndeclared")).await?;
        let worker: DuckWorker = ns.api().get(worker_of(&kept)?).await?;
        ensure!(state(&worker) == "Hot", "{}", state(&worker));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tenant_says_itself_how_long_its_parked_workers_stay() -> Result<()> {
    scenario("wish-ttl", async |ns| {
        let _controller = controller(ns)?;
        let brief = json!({ "hotIdle": { "ttlSeconds": 0 } });
        ns.create::<DuckTenant>(tenant("brief", &brief)).await?;
        let mut pool = pool("p", 2, 9);
        pool["spec"]["hotIdle"] = json!({ "ttlSeconds": 3600 });
        ns.create::<DuckWorkerPool>(pool).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let long = bind(ns, claim("a", "p", "patient")).await?;
        let short = bind(ns, claim("b", "p", "brief")).await?;
        for name in ["a", "b"] {
            ns.api::<DuckWorkerClaim>().delete(name, &DeleteParams::default()).await?;
        }
        let over = |worker: &DuckWorker| state(worker) == "Retired";
        let ended: DuckWorker = ns.await_object(worker_of(&short)?, "Retired", over).await?;
        ensure!(reason(&ended) == Some("HotIdleExpired"), "{:?}", reason(&ended));
        let kept: DuckWorker = ns.api().get(worker_of(&long)?).await?;
        ensure!(state(&kept) == "HotIdle", "{}", state(&kept));
        Ok(())
    })
    .await
}
