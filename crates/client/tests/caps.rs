//! A tenant's cap under many claims at once, on the simulated API server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod common;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use common::{NAMESPACE, Plane, scene};
use duckworker_api::DuckTenant;
use duckworker_client::{Error, Origin, Outcome, WorkerLease, WorkerSnapshot};
use duckworker_core::plan::tenant::BELIEVED;
use duckworker_core::{Miss, Tenant};
use duckworker_faults::Verb;
use duckworker_sim::SimCluster;
use futures::future::join_all;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const TENANTS: &str = "ducktenants.duckworker.dev";

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

async fn capped(cluster: &SimCluster, cap: i64) -> Result<Api<DuckTenant>> {
    declared(cluster, json!({ "maxWorkers": cap })).await
}

async fn declared(cluster: &SimCluster, spec: Value) -> Result<Api<DuckTenant>> {
    let api: Api<DuckTenant> = Api::namespaced(cluster.admin(), NAMESPACE);
    let tenant = json!({
        "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckTenant",
        "metadata": { "name": "acme" }, "spec": spec,
    });
    api.create(&PostParams::default(), &serde_json::from_value(tenant)?).await?;
    Ok(api)
}

async fn claim(plane: &Plane, seen: &WorkerSnapshot) -> Result<Outcome<WorkerLease>, Error> {
    plane.lifecycle.claim_idle(seen, acme(), None, Origin::Library).await
}

fn writes(cluster: &SimCluster) -> usize {
    cluster.history().iter().filter(|version| &*version.collection == TENANTS).count()
}

async fn ledger(tenants: &Api<DuckTenant>) -> Result<usize> {
    let tenant = tenants.get("acme").await?;
    Ok(tenant.status.context("a status")?.ledger.len())
}

#[test]
fn claims_that_come_together_are_entered_together() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let plane = Plane::register(&cluster, "a").await?;
        let tenants = capped(&cluster, 10).await?;
        let mut idle = Vec::new();
        for number in 0..32 {
            idle.push(plane.idle(&format!("w-{number}")).await?);
        }
        let before = writes(&cluster);
        let outcomes = join_all(idle.iter().map(|seen| claim(&plane, seen))).await;
        let won = outcomes.iter().filter(|o| matches!(o, Ok(Outcome::Transitioned(_)))).count();
        let full =
            outcomes.iter().filter(|o| matches!(o, Ok(Outcome::Missed(Miss::Capacity)))).count();
        ensure!((won, full) == (10, 22), "{won} won, {full} found no room");
        ensure!(ledger(&tenants).await? == 10);
        let written = writes(&cluster) - before;
        ensure!(written <= 3, "{written} writes of the ledger for 32 claims");
        Ok(())
    })
}

#[test]
fn two_claimers_of_one_tenant_keep_its_cap() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let (a, b) = (Plane::register(&cluster, "a").await?, Plane::register(&cluster, "b").await?);
        let tenants = capped(&cluster, 3).await?;
        let mut idle = Vec::new();
        for number in 0..8 {
            idle.push(a.idle(&format!("w-{number}")).await?);
        }
        // Each wants all of them: some are wanted twice.
        let all = idle.iter().flat_map(|seen| [claim(&a, seen), claim(&b, seen)]);
        let outcomes = join_all(all).await;
        let won = outcomes.iter().filter(|o| matches!(o, Ok(Outcome::Transitioned(_)))).count();
        ensure!(won <= 3, "{won} won");
        ensure!(ledger(&tenants).await? <= 3);
        Ok(())
    })
}

#[test]
fn who_gives_up_while_the_ledger_is_written_holds_up_nobody() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let plane = Plane::register(&cluster, "a").await?;
        let tenants = capped(&cluster, 2).await?;
        let (first, second) = (plane.idle("w-1").await?, plane.idle("w-2").await?);
        // The first is dropped in the middle of its calls, wherever that is.
        for millis in 0..20 {
            let patience = Duration::from_millis(millis);
            if tokio::time::timeout(patience, claim(&plane, &first)).await.is_ok() {
                break;
            }
        }
        let outcome = claim(&plane, &second).await?;
        ensure!(matches!(outcome, Outcome::Transitioned(_)), "{outcome:?}");
        ensure!(ledger(&tenants).await? <= 2);
        Ok(())
    })
}

#[test]
fn a_tenant_without_a_cap_costs_one_read_in_two_seconds() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let plane = Plane::register(&cluster, "a").await?;
        let reads = || {
            let records = plane.faults.records();
            records.iter().filter(|r| r.call.is(Verb::Get, "ducktenants")).count()
        };
        for number in 0..20 {
            let idle = plane.idle(&format!("w-{number}")).await?;
            ensure!(matches!(claim(&plane, &idle).await?, Outcome::Transitioned(_)));
        }
        ensure!(reads() == 1, "{} reads for 20 claims", reads());
        // A cap that comes meanwhile is heard of in time.
        capped(&cluster, 0).await?;
        tokio::time::sleep(BELIEVED).await;
        let idle = plane.idle("late").await?;
        let outcome = claim(&plane, &idle).await?;
        ensure!(matches!(outcome, Outcome::Missed(Miss::Capacity)), "{outcome:?}");
        Ok(())
    })
}

async fn claim_parked(plane: &Plane, seen: &WorkerSnapshot) -> Result<Outcome<WorkerLease>, Error> {
    plane.lifecycle.claim_hot_idle(seen, acme(), None, None, Origin::Library).await
}

#[test]
fn a_parked_worker_is_within_the_cap_until_that_is_lowered() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let plane = Plane::register(&cluster, "a").await?;
        let tenants = capped(&cluster, 2).await?;
        let (first, second) =
            (plane.parked("w-1", "acme", None).await?, plane.parked("w-2", "acme", None).await?);
        let outcome = claim_parked(&plane, &first).await?;
        ensure!(
            matches!(outcome, Outcome::Transitioned(_)),
            "the cap is full of itself: {outcome:?}"
        );
        let lowered = Patch::Merge(json!({ "spec": { "maxWorkers": 1 } }));
        tenants.patch("acme", &PatchParams::default(), &lowered).await?;
        tokio::time::sleep(BELIEVED).await;
        let outcome = claim_parked(&plane, &second).await?;
        ensure!(matches!(outcome, Outcome::Missed(Miss::Capacity)), "{outcome:?}");
        Ok(())
    })
}

#[test]
fn a_tenant_that_is_pinned_gets_no_other_version_idle_or_parked() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let plane = Plane::register(&cluster, "a").await?;
        let (idle, parked) =
            (plane.idle("idle").await?, plane.parked("parked", "acme", None).await?);
        let tenants = declared(&cluster, json!({ "image": "duckdb:pinned" })).await?;
        tokio::time::sleep(BELIEVED).await;
        let missed = |outcome: &Outcome<_>| matches!(outcome, Outcome::Missed(Miss::Assignment));
        ensure!(
            missed(&claim(&plane, &idle).await?) && missed(&claim_parked(&plane, &parked).await?)
        );
        let own = Patch::Merge(json!({ "spec": { "image": idle.worker().spec.image.as_str() } }));
        tenants.patch("acme", &PatchParams::default(), &own).await?;
        tokio::time::sleep(BELIEVED).await;
        let won = |outcome: &Outcome<_>| matches!(outcome, Outcome::Transitioned(_));
        ensure!(won(&claim(&plane, &idle).await?) && won(&claim_parked(&plane, &parked).await?));
        Ok(())
    })
}
