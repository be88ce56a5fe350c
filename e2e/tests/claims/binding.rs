//! From a claim to its worker.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool, samples};
use duckworker_e2e::claim::{bind, claim, is, source, worker_of};
use duckworker_e2e::pool::{await_count, pool};
use duckworker_e2e::scenario::{controller, scenario, status};
use duckworker_e2e::worker::state;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::json;

#[tokio::test]
async fn a_claim_gets_a_warm_worker_and_all_that_a_client_needs() -> Result<()> {
    scenario("claim-warm", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 2, 10)).await?;
        await_count(ns, "p", "Idle", 2).await?;
        ns.kubectl_apply_str(&claim("c", "p", "acme").to_string()).await?.ok()?;
        ns.kubectl(&["wait", "--for=condition=Ready", "dwc/c", "--timeout=60s"]).await?.ok()?;
        let bound: DuckWorkerClaim = ns.api().get("c").await?;
        ensure!(source(&bound) == "Warm");
        let worker: DuckWorker = ns.api().get(worker_of(&bound)?).await?;
        let named = status(&worker)?.claim.as_ref().context("a claim")?;
        ensure!(Some(&named.uid) == bound.metadata.uid.as_ref() && state(&worker) == "Hot");
        ensure!(status(&worker)?.tenant.as_deref() == Some("acme"));
        let shown = bound.status.as_ref().context("a status")?;
        ensure!(shown.endpoint == status(&worker)?.endpoint && shown.endpoint.is_some());
        let secret = ns.api::<Secret>().get("c-conn").await?;
        let own = ns.api::<Secret>().get(&format!("{}-rpc", worker.name_any())).await?;
        let (secret_data, own) = (secret.data.context("data")?, own.data.context("data")?);
        for key in ["bearer-token", "tls.crt"] {
            ensure!(secret_data.get(key) == own.get(key), "{key}");
        }
        ensure!(!secret_data.contains_key("tls.key"), "no client needs the private key");
        let text =
            |key: &str| secret_data.get(key).map(|v| String::from_utf8_lossy(&v.0).into_owned());
        ensure!(text("endpoint") == shown.endpoint && text("server-name") == shown.server_name);
        let table = ns.kubectl(&["get", "dwc"]).await?.ok()?;
        ensure!(table.lines().all(|line| line.len() <= 100), "{table}");
        // The pool refills what was taken, and makes none that it has to end again.
        let all = await_count(ns, "p", "Idle", 2).await?;
        ensure!(all.len() == 3, "{} workers", all.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_claim_that_is_applied_again_keeps_its_worker() -> Result<()> {
    scenario("claim-again", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 1, 10)).await?;
        let manifest = claim("c", "p", "acme");
        let bound = bind(ns, manifest.clone()).await?;
        ns.kubectl_apply_str(&manifest.to_string()).await?.ok()?;
        let again: DuckWorkerClaim = ns.await_object("c", "Ready", is("Ready")).await?;
        ensure!(again.status.and_then(|s| s.worker) == bound.status.and_then(|s| s.worker));
        let mut other = manifest;
        other["spec"]["tenant"] = json!("other");
        let refusal = ns.kubectl_apply_str(&other.to_string()).await?.refused()?;
        ensure!(refusal.contains("the spec of a claim cannot be changed"), "{refusal}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tenant_gets_its_parked_worker_back() -> Result<()> {
    scenario("claim-reuse", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 1, 10)).await?;
        await_count(ns, "p", "Idle", 1).await?;
        let first = bind(ns, claim("c1", "p", "acme")).await?;
        ns.api::<DuckWorkerClaim>().delete("c1", &DeleteParams::default()).await?;
        let parked = await_count(ns, "p", "HotIdle", 1).await?;
        let parked = parked.iter().find(|w| state(w) == "HotIdle").context("a parked one")?;
        ensure!(status(parked)?.claim.is_none() && parked.name_any() == worker_of(&first)?);
        let other = bind(ns, claim("c2", "p", "other")).await?;
        ensure!(worker_of(&other)? != worker_of(&first)?, "it is acme's for ever");
        let second = bind(ns, claim("c3", "p", "acme")).await?;
        ensure!(worker_of(&second)? == worker_of(&first)? && source(&second) == "HotIdle");
        let epoch = |claim: &DuckWorkerClaim| {
            claim.status.as_ref().and_then(|s| s.worker.as_ref()).map(|w| w.owner_epoch)
        };
        ensure!(epoch(&second) > epoch(&first));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_claim_on_an_empty_pool_is_served_cold() -> Result<()> {
    scenario("claim-cold", async |ns| {
        let _controller = controller(ns)?;
        ns.create::<DuckWorkerPool>(pool("p", 0, 10)).await?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        ensure!(source(&bound) == "Cold", "{}", source(&bound));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_replicas_give_each_of_many_claims_one_worker() -> Result<()> {
    scenario("claim-many", async |ns| {
        let (_first, _second) = (controller(ns)?, controller(ns)?);
        ns.create::<DuckWorkerPool>(pool("p", 10, 40)).await?;
        await_count(ns, "p", "Idle", 10).await?;
        let names: Vec<String> = (0..24).map(|n| format!("c{n}")).collect();
        let binds = names
            .iter()
            .enumerate()
            .map(|(number, name)| bind(ns, claim(name, "p", &format!("tenant-{}", number % 6))));
        let bound = futures::future::try_join_all(binds).await?;
        let mut workers: Vec<&str> = bound.iter().map(worker_of).collect::<Result<_>>()?;
        workers.sort_unstable();
        workers.dedup();
        ensure!(workers.len() == 24, "{} workers for 24 claims", workers.len());
        let all = await_count(ns, "p", "Hot", 24).await?;
        for claim in &bound {
            let uid = claim.uid().unwrap_or_default();
            let naming = all.iter().filter(|worker| {
                let its = worker.status.as_ref().and_then(|s| s.claim.as_ref());
                its.is_some_and(|its| its.uid == uid)
            });
            ensure!(naming.count() == 1, "{} is named by one worker", claim.name_any());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_sample_is_bound_and_bad_ones_are_refused() -> Result<()> {
    scenario("claim-sample", async |ns| {
        ns.kubectl_apply_str(&serde_json::to_string(&samples::claim())?).await?.ok()?;
        for (field, value, sentence) in [
            ("tenant", json!("Not A Label"), "spec.tenant must be a DNS label"),
            ("poolName", json!("a.b"), "spec.poolName must be the name of a DuckWorkerPool"),
            ("poolName", json!(""), "should be at least 1 chars long"),
            ("timeoutSeconds", json!(0), "greater than or equal to 1"),
            ("onWorkerLoss", json!("Retry"), "Unsupported value"),
        ] {
            let mut bad = claim("bad", "p", "acme");
            bad["spec"][field] = value;
            let refusal = ns.kubectl_apply_str(&bad.to_string()).await?.refused()?;
            ensure!(refusal.contains(sentence), "{bad}: {refusal}");
        }
        Ok(())
    })
    .await
}
