//! The lives of tenants.

use anyhow::{Result, ensure};
use duckworker_api::DuckTenant;
use duckworker_e2e::recorder::Recorder;
use duckworker_e2e::scenario::{controller, scenario};
use duckworker_history::line;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::judged::{CURRENT, IN_PROGRESS, check, course, judged, of_any_kind};

/// What is true of a tenant: its spec is kept once it was observed.
fn truth(tenant: &Value) -> &'static str {
    of_any_kind(tenant).unwrap_or(CURRENT)
}

/// A predicate: this generation of its spec was observed.
fn observed(generation: i64) -> impl Fn(&DuckTenant) -> bool {
    move |tenant| {
        let seen = tenant.status.as_ref().and_then(|status| status.observed_generation);
        seen == Some(generation)
    }
}

#[tokio::test]
async fn every_version_of_a_tenant_is_judged_as_it_stands() -> Result<()> {
    scenario("kstatus-tenant", async |ns| {
        let recorder = Recorder::start(&ns.client, &ns.name).await?;
        for (name, spec) in [("capped", json!({ "maxWorkers": 1 })), ("free", json!({}))] {
            let tenant = json!({ "metadata": { "name": name }, "spec": spec });
            ns.create::<DuckTenant>(tenant).await?;
        }
        let _controller = controller(ns)?;
        for name in ["capped", "free"] {
            ns.await_object::<DuckTenant>(name, "observed", observed(1)).await?;
        }
        let more = Patch::Merge(json!({ "spec": { "maxWorkers": 2 } }));
        ns.api::<DuckTenant>().patch("capped", &PatchParams::default(), &more).await?;
        ns.await_object::<DuckTenant>("capped", "observed", observed(2)).await?;

        let all = judged(ns, recorder, line::TENANTS).await?;
        check(&all, truth)?;
        let changed = [IN_PROGRESS, CURRENT, IN_PROGRESS, CURRENT];
        ensure!(course(&all, "capped") == changed, "{:?}", course(&all, "capped"));
        ensure!(course(&all, "free") == [IN_PROGRESS, CURRENT], "{:?}", course(&all, "free"));
        Ok(())
    })
    .await
}
