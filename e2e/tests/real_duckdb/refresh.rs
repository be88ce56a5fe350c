//! A tenant's secret changes while sessions are open on its worker.

use anyhow::{Context as _, Result, ensure};
use duckworker_api::{DuckWorker, labels};
use duckworker_e2e::TestNamespace;
use duckworker_e2e::real::duckdb::dedicated;
use duckworker_e2e::real::{Ran, real_scenario};
use duckworker_e2e::scenario::{controller, status};
use duckworker_e2e::sql::{Sql, long_query, table};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::{ROWS, await_no_trace, serving};

const EXPIRES: &str = "2099-01-01T00:00:00Z";

/// What a tenant's workers run: an ATTACH, which would fail if it ran twice, and the key of a store.
fn statements(key: &str) -> String {
    let headers = format!("EXTRA_HTTP_HEADERS MAP {{ 'x-key': '{key}' }}");
    let store = format!("TYPE http, SCOPE 'https://store.example', {headers}");
    format!("ATTACH ':memory:' AS lake; CREATE OR REPLACE SECRET store ({store})")
}

/// The key that a session would use for the store.
async fn key(sql: &mut Sql) -> Result<String> {
    let secrets = "SELECT secret_string FROM duckdb_secrets() WHERE name = 'store'";
    let shown = table(&sql.rows(secrets).await?)?;
    let (_, rest) = shown.split_once("x-key=").with_context(|| format!("no key in {shown}"))?;
    Ok(rest.chars().take_while(char::is_ascii_lowercase).collect())
}

async fn rotate(ns: &TestNamespace<'_>, statements: &str, annotations: &[&str]) -> Result<()> {
    let annotations: serde_json::Map<_, _> =
        annotations.iter().map(|expiry| (labels::EXPIRE_AT.to_owned(), json!(expiry))).collect();
    let change = Patch::Merge(json!({
        "metadata": { "annotations": annotations },
        "stringData": { "statements": statements },
    }));
    ns.api::<Secret>().patch("acme-activation", &PatchParams::default(), &change).await?;
    Ok(())
}

#[tokio::test]
async fn sessions_go_on_with_new_credentials_when_the_tenant_s_secret_changes() -> Result<Ran> {
    real_scenario("duckdb-rotation", async |ns| {
        let _controller = controller(ns)?;
        let before = serving(ns, dedicated("w1", "acme"), &statements("one")).await?;
        let epoch = status(&before.worker)?.owner_epoch;
        let mut sql = before.access.connect().await?;
        let session = sql.begin_session().await?;
        sql.rows("CREATE TEMP TABLE mine AS SELECT 7 AS a").await?;
        ensure!(key(&mut sql).await? == "one");
        let query = before.access.connect().await?.begin(&long_query(ROWS)).await?;

        // A rotation that fails takes nothing away.
        rotate(ns, &statements("two)"), &[]).await?;
        let tried = |worker: &DuckWorker| {
            worker.status.as_ref().is_some_and(|status| status.owner_epoch > epoch)
        };
        ns.await_object::<DuckWorker>("w1", "told", tried).await?;
        rotate(ns, &statements("three"), &[EXPIRES]).await?;
        let told = |worker: &DuckWorker| {
            worker.status.as_ref().is_some_and(|status| status.credentials_expire_at.is_some())
        };
        let after = ns.await_object::<DuckWorker>("w1", "told", told).await?;

        ensure!(key(&mut sql).await? == "three", "the session has the old key");
        let shown = table(&sql.rows("SELECT a FROM mine").await?)?;
        ensure!(shown.contains("| 7 |"), "{shown}");
        ensure!(query.finish().await? == ROWS, "rows are missing");
        let health = sql.health().await?;
        let (then, now) = (status(&before.worker)?, status(&after)?);
        ensure!(health["owner_epoch"] == json!(now.owner_epoch), "{health} {now:?}");
        ensure!(health["sessions"] == 1, "{health}");
        ensure!(now.state == "Hot" && now.state_since == then.state_since, "{now:?}");
        ensure!(now.owner == then.owner && now.transitions == then.transitions, "{now:?}");
        let same: Pod = ns.api().get("w1").await?;
        ensure!(same.uid().is_some() && same.uid() == before.pod.uid(), "the pod was replaced");

        sql.end_session(session).await?;
        ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
        await_no_trace(ns, &before.pod).await
    })
    .await
}
