//! `docs/protocol.md` is true: its commands are run as they stand there, with the roles that it
//! names and the policies in force.
#![allow(clippy::large_futures, reason = "the future of a whole test")]

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::install::project_root;
use duckworker_e2e::scenario::{bring, controller, scenario, status};
use duckworker_e2e::worker::{self, is};
use duckworker_e2e::{Identity, PATIENCE, TestNamespace, rights};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;

/// The commands of the page, in order.
fn commands(page: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in page.lines() {
        match (inside, line) {
            (false, "```sh") => inside = true,
            (true, "```") => inside = false,
            (true, line) => {
                script.push_str(line);
                script.push('\n');
            }
            (false, _) => {}
        }
    }
    script
}

/// Runs a script with kubectl on its path, as somebody.
async fn run(ns: &TestNamespace<'_>, identity: &Identity, script: String) -> Result<String> {
    let kubectl = ns.cluster.kubectl_path();
    let tools = kubectl.parent().context("kubectl is in no folder")?;
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .env("PATH", path)
        .env("KUBECONFIG", identity.kubeconfig())
        .env("KUBECACHEDIR", ns.cluster.kubectl_cache())
        .env("NAMESPACE", &ns.name)
        .env("LEASES", &ns.name)
        .env("TENANT", "acme")
        .stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(PATIENCE + Duration::from_mins(1), ran).await???;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!("{}{}", text(&output.stdout), text(&output.stderr));
    }
    Ok(text(&output.stdout))
}

#[tokio::test]
async fn the_protocol_is_what_its_page_says() -> Result<()> {
    scenario("protocol", async |ns| {
        ns.cluster.install_config().await?;
        rights::control_plane(ns, "--user=bob").await?;
        let controller = controller(ns)?;
        bring(ns, worker::plain("w1"), "Idle").await?;
        let page = std::fs::read_to_string(project_root().join("docs/protocol.md"))?;
        let script = commands(&page);
        ensure!(script.lines().count() > 80, "the page has lost its commands");
        let told = run(ns, ns.cluster.user("bob")?, script).await?;
        ensure!(told.contains("user:bob:"), "{told}");

        let retired = ns.await_object::<DuckWorker>("w1", "Retired", is("Retired")).await?;
        let status = status(&retired)?;
        ensure!(status.tenant.as_deref() == Some("acme"), "{status:?}");
        ensure!(status.owner.as_deref().is_some_and(|owner| owner.starts_with("user:bob:")));
        ensure!(status.transitions[0].name == "retire_drained", "{status:?}");
        ensure!(ns.api::<Pod>().get_opt("w1").await?.is_none());
        ensure!(ns.api::<Secret>().get_opt("w1-rpc").await?.is_none());
        let leases = ns.api::<Lease>().list(&ListParams::default()).await?;
        let holder = |lease: &Lease| lease.spec.as_ref().and_then(|s| s.holder_identity.clone());
        let left = leases.iter().filter_map(holder).any(|holder| holder.starts_with("user:bob:"));
        ensure!(!left, "the Lease is left");
        controller.stop().await
    })
    .await
}
