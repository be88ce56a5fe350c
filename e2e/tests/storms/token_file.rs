//! A client's token proves nothing any more, and a new one is put in its place, as the kubelet does
//! it with the file that it gives a pod: the program reads the file again within a minute.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::connection::PROGRAM;
use duckworker_e2e::scenario::{bring, scenario, status};
use duckworker_e2e::worker::{is, plain};
use duckworker_e2e::{
    AuditEvent, ControllerProcess, TestNamespace, TokenFile, await_object_within,
};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::ground::storm_time;

/// The account of the controller.
const ACCOUNT: &str = "patient";
/// The library reads the file again after a minute, and the controller then comes out of its pause.
const RECOVERY: Duration = Duration::from_secs(100);

/// Since that takes the minute, it is a part of `just storms` only.
#[tokio::test]
async fn a_new_token_in_the_file_is_found() -> Result<()> {
    if storm_time()? < Duration::from_mins(1) {
        println!("token-file: left to longer storms, such as `just storms`");
        return Ok(());
    }
    scenario("token-file", async |ns| {
        ns.create::<ServiceAccount>(json!({ "metadata": { "name": ACCOUNT } })).await?;
        bind(ns).await?;
        let result = renewed(ns).await;
        let bindings: Api<ClusterRoleBinding> = ns.cluster_api();
        bindings.delete(&ns.name, &DeleteParams::default()).await?;
        result
    })
    .await
}

async fn renewed(ns: &TestNamespace<'_>) -> Result<()> {
    let old = ns.create::<Secret>(json!({ "metadata": { "name": "old-token" } })).await?;
    let token = ns.cluster.service_account_while(&ns.name, ACCOUNT, &old).await?;
    let file = TokenFile::new(ns.cluster, &token)?;
    let args = ["controller", "--namespace", &ns.name, "--lease-namespace", &ns.name];
    let more = ["--admin-address", "127.0.0.1:0"];
    let args = [&args[..], &more[..]].concat();
    let process =
        ControllerProcess::start(ns.cluster, "token-file", file.identity(), &args, &[]).await?;
    let before = bring(ns, plain("before"), "Idle").await?;

    let begin = ns.cluster.audit().mark()?;
    ns.api::<Secret>().delete("old-token", &DeleteParams::default()).await?;
    let refused = |event: &AuditEvent| {
        event.code() == Some(401)
            && event.user_agent == PROGRAM
            && event.request_uri.contains(&ns.name)
    };
    let refused = |events: &[AuditEvent]| events.iter().any(refused);
    ns.cluster.audit().await_events(begin, "a refused token", refused).await?;
    let new = ns.create::<Secret>(json!({ "metadata": { "name": "new-token" } })).await?;
    file.write(&ns.cluster.service_account_while(&ns.name, ACCOUNT, &new).await?)?;

    let begin = Instant::now();
    ns.create::<DuckWorker>(plain("after")).await?;
    let api = ns.api::<DuckWorker>();
    await_object_within(RECOVERY, &api, "after", "Idle", is("Idle")).await?;
    println!("token-file: {:?} after the new token was there a worker was Idle", begin.elapsed());
    let still = api.get("before").await?;
    ensure!(status(&still)? == status(&before)?, "the worker did not stay as it was");
    let by = status(&api.get("after").await?)?.owner.clone().context("an owner")?;
    ensure!(Some(by) == status(&before)?.owner.clone(), "another instance goes on");
    process.stop().await
}

async fn bind(ns: &TestNamespace<'_>) -> Result<()> {
    let binding = json!({
        "metadata": { "name": ns.name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": ns.name }],
    });
    let bindings: Api<ClusterRoleBinding> = ns.cluster_api();
    bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
    Ok(())
}
