//! A claim on a pool of workers that really are DuckDB: SQL runs with nothing but what is in the
//! claim's secret, and goes on whatever befalls the controller.
#![allow(clippy::large_futures, reason = "the future of a whole test")]

use anyhow::{Context as _, Result, ensure};
use duckworker_api::labels::TOKEN_KEY;
use duckworker_api::{DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_e2e::canary::{Canaries, OF_WORKERS, Talker};
use duckworker_e2e::claim::{bind, claim, source, worker_of};
use duckworker_e2e::pool::{await_count, workers_of};
use duckworker_e2e::real::duckdb::{load, pool, tenant};
use duckworker_e2e::real::{Ran, real_scenario};
use duckworker_e2e::scenario::{await_nothing_left, controller, status};
use duckworker_e2e::sql::{Access, is_refused, long_query, table};
use duckworker_e2e::worker::{reason, state};
use duckworker_e2e::{TestNamespace, await_list};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::DeleteParams;

/// So many rows that most of them wait in the worker: a hundred megabytes.
const ROWS: usize = 200_000;

/// What a user reads out of the secret of a claim.
async fn access(ns: &TestNamespace<'_>, claim: &str) -> Result<Access> {
    Access::of(&ns.api::<Secret>().get(&format!("{claim}-conn")).await?)
}

/// What a tenant's workers run. The comment is a word that is looked for.
const STATEMENTS: &str =
    "CREATE TABLE greetings AS SELECT 'hello' AS word; -- not-to-be-told-to-anybody";

/// A pool of warm workers, and a tenant with a table.
async fn prepare(ns: &TestNamespace<'_>, replicas: i64) -> Result<()> {
    load(ns).await?;
    tenant(ns, "acme", STATEMENTS).await?;
    ns.create::<DuckWorkerPool>(pool("p", replicas, 3)).await?;
    await_count(ns, "p", "Idle", usize::try_from(replicas)?).await.map(drop)
}

#[tokio::test]
async fn a_claim_s_secret_is_all_that_sql_needs() -> Result<Ran> {
    real_scenario("real-claim", async |ns| {
        let _controller = controller(ns)?;
        prepare(ns, 1).await?;
        let first = bind(ns, claim("c1", "p", "acme")).await?;
        ensure!(source(&first) == "Warm", "{}", source(&first));
        let way = access(ns, "c1").await?;
        let mut sql = way.connect().await?;
        let shown = table(&sql.rows("SELECT word, 40 + 2 AS sum FROM greetings").await?)?;
        ensure!(shown.contains("| hello | 42  |"), "{shown}");
        // Another token is told nothing, and who trusts another certificate of that name finds nobody.
        let mut stranger = way.clone().with_token("guessed").connect().await?;
        is_refused(stranger.rows("SELECT word FROM greetings").await)?;
        let other = rcgen::generate_simple_self_signed([way.server_name().to_owned()])?;
        let other = way.clone().with_certificate(&other.cert.pem());
        ensure!(other.connect().await.is_err(), "the certificate is not pinned");

        ns.api::<DuckWorkerClaim>().delete("c1", &DeleteParams::default()).await?;
        await_count(ns, "p", "HotIdle", 1).await?;
        let second = bind(ns, claim("c2", "p", "acme")).await?;
        ensure!(source(&second) == "HotIdle" && worker_of(&second)? == worker_of(&first)?);
        let shown = table(&access(ns, "c2").await?.connect().await?.rows("FROM greetings").await?)?;
        ensure!(shown.contains("hello"), "{shown}");

        ns.api::<DuckWorkerClaim>().delete("c2", &DeleteParams::default()).await?;
        ns.api::<DuckWorkerPool>().delete("p", &DeleteParams::default()).await?;
        ns.api::<Secret>().delete("acme-activation", &DeleteParams::default()).await?;
        await_nothing_left(ns).await
    })
    .await
}

/// The worker's token and key, the claim's copy of the token, and what the tenant's workers are told.
#[tokio::test]
async fn no_secret_of_a_claim_is_shown() -> Result<Ran> {
    real_scenario("real-canary", async |ns| {
        let process = Talker::start(ns).await?;
        prepare(ns, 1).await?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        let worker = worker_of(&bound)?;
        let mut canaries = Canaries::default();
        canaries.add(ns, &format!("{worker}-rpc"), &OF_WORKERS).await?;
        canaries.add(ns, "c-conn", &[TOKEN_KEY]).await?;
        canaries.add(ns, "acme-activation", &["statements"]).await?;
        let metrics = process.metrics().await?;
        access(ns, "c").await?.connect().await?.rows("FROM greetings").await?;
        let told = ns.kubectl(&["logs", worker]).await?.ok()?;

        ns.api::<DuckWorkerClaim>().delete("c", &DeleteParams::default()).await?;
        await_count(ns, "p", "HotIdle", 1).await?;
        // An activation that fails is talked about most.
        let broken = format!("SELECT no_such_function(); {STATEMENTS}");
        tenant(ns, "broken", &broken).await?;
        canaries.add(ns, "broken-activation", &["statements"]).await?;
        ns.create::<DuckWorkerClaim>(claim("d", "p", "broken")).await?;
        let failed = |all: &[DuckWorker]| {
            all.iter().any(|worker| reason(worker) == Some("ActivationFailed"))
        };
        await_list(&ns.api(), &workers_of("p"), "failed", failed).await?;
        let kinds = "events,dw,dwc,dwp,dt,pods,leases";
        let objects = ns.kubectl(&["get", kinds, "-o", "yaml"]).await?.ok()?;
        let later = process.metrics().await?;
        let log = process.stop().await?;
        let audit = std::fs::read_to_string(ns.cluster.audit().path())?;
        canaries.look_in(&[
            ("log", &log),
            ("worker's log", &told),
            ("metrics", &metrics),
            ("metrics after the end", &later),
            ("events and objects", &objects),
            ("audit log", &audit),
        ])
    })
    .await
}

#[tokio::test]
async fn a_query_goes_on_while_the_controller_restarts_and_dies() -> Result<Ran> {
    real_scenario("real-restart", async |ns| {
        let mut running = controller(ns)?;
        prepare(ns, 1).await?;
        let bound = bind(ns, claim("c", "p", "acme")).await?;
        let before: DuckWorker = ns.api().get(worker_of(&bound)?).await?;
        let pod: Pod = ns.api().get(&before.name_any()).await?;
        let mut sql = access(ns, "c").await?.connect().await?;
        let query = sql.begin(&long_query(ROWS)).await?;

        running.stop().await?;
        running = controller(ns)?;
        let restarted = adopted(ns, &before).await?;
        running.kill().await;
        running = controller(ns)?;
        let after = adopted(ns, &restarted).await?;

        ensure!(sql.running_queries().await? == 1, "the query had ended before");
        ensure!(query.taken() < ROWS / 2, "{} rows were on their way", query.taken());
        ensure!(query.finish().await? == ROWS, "rows are missing");
        let same: Pod = ns.api().get(&before.name_any()).await?;
        ensure!(same.uid().is_some() && same.uid() == pod.uid(), "the pod was replaced");
        ensure!(state(&after) == "Hot", "{}", state(&after));
        let still: DuckWorkerClaim = ns.api().get("c").await?;
        ensure!(worker_of(&still)? == before.name_any(), "the claim got another worker");
        ensure!(still.status.as_ref().is_some_and(|status| status.phase == "Ready"));
        running.stop().await
    })
    .await
}

/// Waits until the worker has another owner than before.
async fn adopted(ns: &TestNamespace<'_>, before: &DuckWorker) -> Result<DuckWorker> {
    let old = status(before)?.owner.clone().context("nobody owns the worker")?;
    let is_adopted = |worker: &DuckWorker| {
        let owner = worker.status.as_ref().and_then(|status| status.owner.as_ref());
        owner.is_some_and(|owner| *owner != old)
    };
    ns.await_object(&before.name_any(), "adopted", is_adopted).await
}
