//! A cap that holds: a tenant that may have one worker waits with its second claim.

use anyhow::{Context as _, Result};
use duckworker_api::{DuckWorkerClaim, samples};
use duckworker_e2e::await_object;
use duckworker_e2e::claim::{condition, is, waits_for};
use kube::{Api, ResourceExt as _};

use crate::ground::Ground;
use crate::show;

/// The second claim.
const SECOND: &str = "second";

/// Shows it, and puts the tenant's own cap back.
pub async fn run(ground: &Ground) -> Result<()> {
    show::step("The tenant may have one worker now: its second claim waits");
    cap(ground, 1).await?;
    let mut second = samples::claim();
    second.metadata.name = Some(SECOND.to_owned());
    ground
        .apply(&serde_json::to_string(&second)?, "config/samples/claim.yaml, named second")
        .await?;
    let claims: Api<DuckWorkerClaim> = ground.api();
    let waiting = await_object(&claims, SECOND, "waiting", waits_for("TenantAtCap")).await?;
    ground.kubectl_shown(&["get", "dwc", "-o", "wide"]).await?;
    show::say(&condition(&waiting, "Ready").context("a condition")?.message);
    show::step("The cap is raised: the claim is served");
    cap(ground, 4).await?;
    await_object(&claims, SECOND, "Ready", is("Ready")).await?;
    ground.kubectl_shown(&["get", "dwc"]).await?;
    ground.kubectl_shown(&["delete", "dwc", &waiting.name_any()]).await.map(drop)
}

async fn cap(ground: &Ground, workers: u32) -> Result<()> {
    let patch = format!("{{\"spec\":{{\"maxWorkers\":{workers}}}}}");
    let args = ["patch", "ducktenant", samples::TENANT, "--type=merge", "-p", &patch];
    ground.kubectl_shown(&args).await.map(drop)
}
