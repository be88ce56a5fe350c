//! Claims that wait: why, for how long, and in which order.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::annotation;
use duckworker_e2e::await_list;
use duckworker_e2e::claim::{bind, claim, condition, is, phase, waits_for, worker_of};
use duckworker_e2e::pool::{await_count, change, pool, with_annotations};
use duckworker_e2e::scenario::{controller, scenario};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::runtime::watcher;
use serde_json::json;

#[tokio::test]
async fn a_claim_says_why_it_waits() -> Result<()> {
    scenario("claim-why", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerClaim>(claim("c", "p", "acme")).await?;
        let nowhere = waits_for("PoolNotFound");
        ns.await_object::<DuckWorkerClaim>("c", "without a pool", nowhere).await?;
        let bad = with_annotations(pool("p", 0, 1), &json!({ annotation::IMAGE_PULL: "fail" }));
        ns.create::<DuckWorkerPool>(bad).await?;
        let pull = waits_for("ImagePullFailed");
        ns.await_object::<DuckWorkerClaim>("c", "told of the image", pull).await?;
        let mended =
            json!({ "spec": { "template": { "spec": { "template": { "metadata": null } } } } });
        change(ns, "p", mended).await?;
        ns.await_object::<DuckWorkerClaim>("c", "Ready", is("Ready")).await?;
        ns.create::<DuckWorkerClaim>(claim("d", "p", "acme")).await?;
        let full = waits_for("PoolAtMax");
        let waiting: DuckWorkerClaim = ns.await_object("d", "waiting", full).await?;
        let message = condition(&waiting, "Ready").map(|c| c.message.clone()).unwrap_or_default();
        ensure!(message.contains("the first of its tenant"), "{message}");
        ns.api::<DuckWorkerClaim>().delete("c", &DeleteParams::default()).await?;
        ns.await_object::<DuckWorkerClaim>("d", "Ready", is("Ready")).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn tenants_take_turns_at_a_full_pool() -> Result<()> {
    scenario("claim-turns", async |ns| {
        let _controller = controller(ns)?;
        let mut once = pool("p", 0, 1);
        once["spec"]["reuse"] = json!("Never");
        ns.create::<DuckWorkerPool>(once).await?;
        bind(ns, claim("holder", "p", "first")).await?;
        for (name, tenant) in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")] {
            ns.create::<DuckWorkerClaim>(claim(name, "p", tenant)).await?;
            ns.await_object::<DuckWorkerClaim>(name, "waiting", waits_for("PoolAtMax")).await?;
        }
        let mut served = Vec::new();
        let mut held = "holder".to_owned();
        for _ in 0..4 {
            ns.api::<DuckWorkerClaim>().delete(&held, &DeleteParams::default()).await?;
            let ready = |all: &[DuckWorkerClaim]| {
                all.iter().any(|c| phase(c) == "Ready" && c.name_any() != held)
            };
            let all = watcher::Config::default();
            let claims = await_list(&ns.api::<DuckWorkerClaim>(), &all, "served", ready).await?;
            let next = claims.iter().find(|c| phase(c) == "Ready" && c.name_any() != held);
            held = next.context("one")?.name_any();
            served.push(held.clone());
        }
        ensure!(served == ["a1", "b1", "a2", "a3"], "{served:?}");
        Ok(())
    })
    .await
}

/// How many claims come at once: `just crowd` tells.
fn crowd() -> Result<usize> {
    std::env::var("DUCKWORKER_CROWD").map_or(Ok(60), |number| Ok(number.parse()?))
}

#[tokio::test]
async fn many_more_claims_than_workers_are_all_served_in_the_end() -> Result<()> {
    scenario("claim-crowd", async |ns| {
        let (_first, _second) = (controller(ns)?, controller(ns)?);
        ns.create::<DuckWorkerPool>(pool("p", 2, 10)).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let names: Vec<String> = (0..crowd()?).map(|n| format!("c{n:02}")).collect();
        let create = names.iter().enumerate().map(|(number, name)| {
            ns.create::<DuckWorkerClaim>(claim(name, "p", &format!("t{}", number % 3)))
        });
        stream::iter(create).buffer_unordered(32).try_collect::<Vec<_>>().await?;
        let mut left = names.len();
        while left > 0 {
            let ready = |all: &[DuckWorkerClaim]| all.iter().any(|c| phase(c) == "Ready");
            let all = watcher::Config::default();
            let claims = await_list(&ns.api::<DuckWorkerClaim>(), &all, "served", ready).await?;
            let mut workers = Vec::new();
            for done in claims.iter().filter(|c| phase(c) == "Ready") {
                workers.push(worker_of(done)?.to_owned());
                ns.api::<DuckWorkerClaim>()
                    .delete(&done.name_any(), &DeleteParams::default())
                    .await?;
                left -= 1;
            }
            let distinct: std::collections::BTreeSet<_> = workers.iter().collect();
            ensure!(distinct.len() == workers.len() && workers.len() <= 10, "{workers:?}");
        }
        Ok(())
    })
    .await
}
