//! What is refused when it is applied, and what cannot be made any more.

use anyhow::{Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::await_gone;
use duckworker_e2e::in_process::quick_settings;
use duckworker_e2e::scenario::{
    bring, controller, controller_with, nothing_is_left, scenario, status,
};
use duckworker_e2e::worker::plain;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};

#[tokio::test]
async fn a_name_of_57_characters_works_to_the_end() -> Result<()> {
    scenario("longest-name", async |ns| {
        let _controller = controller(ns)?;
        let name = "w".repeat(57);
        let idle = bring(ns, plain(&name), "Idle").await?;
        let secret = status(&idle)?.secret_name.clone().unwrap_or_default();
        ensure!(secret == format!("{name}-rpc"));
        ensure!(ns.api::<Pod>().get(&name).await?.labels().values().any(|value| *value == name));
        ns.api::<DuckWorker>().delete(&name, &DeleteParams::default()).await?;
        await_gone(&ns.api(), &idle).await?;
        nothing_is_left(ns).await
    })
    .await
}

#[tokio::test]
async fn longer_names_are_refused_with_the_rule() -> Result<()> {
    scenario("long-names", async |ns| {
        for length in [58, 63, 200] {
            let refused = ns.kubectl_apply_str(&plain(&"w".repeat(length)).to_string()).await?;
            let sentence = refused.refused()?;
            ensure!(sentence.contains("at most 57 characters"), "{length}: {sentence}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_template_of_a_megabyte_is_refused_with_what_to_do() -> Result<()> {
    scenario("huge", async |ns| {
        let mut worker: Value = plain("w1");
        // More than an annotation of kubectl's apply could hold, so it is created.
        let large = json!([{ "name": "LARGE", "value": "x".repeat(1 << 20) }]);
        worker["spec"]["template"]["spec"]["containers"][0]["env"] = large;
        let admin = ns.cluster.user("admin")?;
        let args = ["--namespace", &ns.name, "create", "-f", "-"];
        let refused = ns.cluster.kubectl_as(admin, &args, &worker.to_string()).await?.refused()?;
        ensure!(refused.contains("ConfigMap") || refused.contains("Too long"), "{refused}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_worker_that_waits_in_an_ending_namespace_ends_with_it() -> Result<()> {
    scenario("ending-leases", async |ns| {
        let doomed = ns.cluster.create_namespace("ending").await?;
        ns.create::<DuckWorker>(plain("elsewhere")).await?;
        let waiting: DuckWorker = doomed.create(plain("w1")).await?;
        // Something holds the namespace open, so that the controller meets it while it ends.
        let hold = json!({ "metadata": { "name": "hold", "finalizers": ["example.invalid/hold"] },
            "spec": { "containers": [{ "name": "c", "image": "example.invalid/c:1" }] } });
        doomed.create::<Pod>(hold).await?;
        doomed.delete().await?;
        let namespaces: Api<Namespace> = ns.cluster_api();
        let mut settings = quick_settings(&doomed.name)?;
        settings.lease_namespace.clone_from(&ns.name);
        let _controller = controller_with(ns, settings)?;
        // Pods go first: while one is held, workers are not told yet, and nothing can be made.
        let taken = |w: &DuckWorker| w.status.as_ref().is_some_and(|s| s.state == "Spawning");
        doomed.await_object::<DuckWorker>("w1", "taken", taken).await?;
        let open = json!({ "metadata": { "finalizers": [] } });
        let patch = kube::api::Patch::Merge(open);
        doomed.api::<Pod>().patch("hold", &kube::api::PatchParams::default(), &patch).await?;
        await_gone(&doomed.api(), &waiting).await?;
        match namespaces.get_opt(&doomed.name).await? {
            Some(namespace) => await_gone(&namespaces, &namespace).await,
            None => Ok(()),
        }
    })
    .await
}
