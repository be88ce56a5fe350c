//! The life of a worker, from `kubectl apply` to gone.

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use duckworker_client::Connection;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::worker::{self, is};
use duckworker_e2e::{Cluster, TestNamespace, await_gone};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams};

/// A controller for the namespace of a test.
async fn controller(ns: &TestNamespace<'_>) -> Result<InProcess> {
    ns.cluster.install_crds().await?;
    let connection = Connection::new(ns.cluster.config()?)?;
    Ok(InProcess::start(quick_settings(&ns.name)?, connection))
}

#[tokio::test]
async fn a_worker_becomes_idle_and_goes() -> Result<()> {
    Cluster::shared()
        .await?
        .with_namespace("idle-and-gone", async |ns| {
            let controller = controller(ns).await?;
            let created = ns.create::<DuckWorker>(worker::plain("w1")).await?;
            let idle = ns.await_object::<DuckWorker>("w1", "Idle", is("Idle")).await?;
            let status = idle.status.context("a status")?;
            assert_eq!(status.owner_epoch, Some(1));
            assert!(status.pod.is_some() && status.secret_name.is_some());
            ns.api::<DuckWorker>().delete("w1", &DeleteParams::default()).await?;
            await_gone(&ns.api::<DuckWorker>(), &created).await?;
            let list = ListParams::default();
            assert_eq!(ns.api::<Pod>().list(&list).await?.items.len(), 0);
            assert_eq!(ns.api::<Secret>().list(&list).await?.items.len(), 0);
            controller.stop().await
        })
        .await
}
