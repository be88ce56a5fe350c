//! Workers and binders that are lost.

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::claim::{bind, claim, is, source, worker_of};
use duckworker_e2e::pool::{await_count, pool};
use duckworker_e2e::scenario::{controller, scenario, status};
use duckworker_e2e::worker::state;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::json;

#[tokio::test]
async fn a_claim_whose_worker_is_lost_gets_another() -> Result<()> {
    scenario("claim-rebind", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 1, 10)).await?;
        let first = bind(ns, claim("c", "p", "acme")).await?;
        let before = ns.api::<Secret>().get("c-conn").await?;
        let lost = worker_of(&first)?.to_owned();
        ns.api::<Pod>().delete(&lost, &DeleteParams::default().grace_period(0)).await?;
        let other = |claim: &DuckWorkerClaim| {
            is("Ready")(claim) && worker_of(claim).is_ok_and(|worker| worker != lost)
        };
        let second: DuckWorkerClaim = ns.await_object("c", "bound anew", other).await?;
        let after = ns.api::<Secret>().get("c-conn").await?;
        ensure!(after.data != before.data && after.uid() != before.uid(), "another worker's");
        ensure!(source(&second) != "HotIdle");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_claim_that_wants_no_other_is_lost_for_good() -> Result<()> {
    scenario("claim-loss-fails", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 1, 10)).await?;
        let mut strict = claim("c", "p", "acme");
        strict["spec"]["onWorkerLoss"] = json!("Fail");
        let bound = bind(ns, strict).await?;
        ns.api::<Pod>()
            .delete(worker_of(&bound)?, &DeleteParams::default().grace_period(0))
            .await?;
        let lost: DuckWorkerClaim = ns.await_object("c", "Lost", is("Lost")).await?;
        ensure!(worker_of(&lost)? == worker_of(&bound)?, "it says which");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_bound_claim_outlives_its_binder_and_the_next_goes_on() -> Result<()> {
    scenario("claim-binder-dies", async |ns| {
        let first = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 2, 10)).await?;
        await_count(ns, "p", "Idle", 2).await?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        // Others are on their way when it dies.
        let names: Vec<String> = (0..6).map(|n| format!("d{n}")).collect();
        for name in &names {
            ns.create::<DuckWorkerClaim>(claim(name, "p", "acme")).await?;
        }
        first.kill().await;
        let _second = controller(ns)?;
        for name in &names {
            ns.await_object::<DuckWorkerClaim>(name, "Ready", is("Ready")).await?;
        }
        let all = await_count(ns, "p", "Hot", 7).await?;
        let worker = all.iter().find(|w| w.name_any() == worker_of(&bound).unwrap_or_default());
        let worker = worker.map(status).transpose()?;
        ensure!(worker.is_some_and(|status| status.owner_epoch == Some(3)), "adopted, and kept");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_worker_that_names_a_claim_is_given_back() -> Result<()> {
    scenario("claim-two-binders", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 2, 10)).await?;
        let idle = await_count(ns, "p", "Idle", 2).await?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        // What a binder that slept since then would do.
        let other = idle.iter().find(|w| w.name_any() != worker_of(&bound).unwrap_or_default());
        let other = other.map(kube::ResourceExt::name_any).unwrap_or_default();
        let late = duckworker_e2e::scenario::ControlPlane::register(ns).await?;
        let seen = late.lifecycle.store().observe(&ns.name, &other).await?;
        let named = duckworker_core::worker::ClaimRef {
            name: "c".into(),
            uid: duckworker_core::Uid::new(bound.uid().unwrap_or_default())?,
        };
        let seen = anyhow::Context::context(seen, "a second worker")?;
        let tenant = duckworker_core::Tenant::new("acme")?;
        let origin = duckworker_client::Origin::Library;
        let claimed = late.lifecycle.claim_idle(&seen, tenant, Some(named), origin).await?;
        let _lease = duckworker_e2e::scenario::won(claimed)?;
        // Its owner dies; a controller adopts it, activates it, and finds that nobody wants it.
        late.kill();
        let parked = |w: &DuckWorker| state(w) == "HotIdle";
        ns.await_object::<DuckWorker>(&other, "parked", parked).await?;
        let now: DuckWorkerClaim = ns.api().get("c").await?;
        ensure!(worker_of(&now)? == worker_of(&bound)?);
        Ok(())
    })
    .await
}
