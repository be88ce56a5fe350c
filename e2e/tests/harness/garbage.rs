//! The built-in controllers work: what is owned goes with its owner.

use anyhow::Result;
use duckworker_e2e::{Cluster, await_gone, pod_is_ready};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{Resource as _, api::DeleteParams};
use serde_json::json;

use crate::pod;

#[tokio::test]
async fn objects_go_with_their_owner() -> Result<()> {
    for how in [DeleteParams::background(), DeleteParams::foreground()] {
        let cluster = Cluster::shared().await?;
        cluster
            .with_namespace("garbage", async |ns| {
                let owner: ConfigMap = ns.create(json!({"metadata": {"name": "owner"}})).await?;
                let owners = json!([owner.owner_ref(&())]);
                let mut child = pod("owned", &[]);
                child["metadata"]["ownerReferences"] = owners.clone();
                ns.create::<Pod>(child).await?;
                let meta = json!({"name": "owned", "ownerReferences": owners});
                let secret: Secret = ns.create(json!({"metadata": meta})).await?;
                let pod: Pod = ns.await_object("owned", "Ready", pod_is_ready).await?;

                ns.api::<ConfigMap>().delete("owner", &how).await?;
                await_gone(&ns.api(), &owner).await?;
                await_gone(&ns.api(), &secret).await?;
                await_gone(&ns.api(), &pod).await
            })
            .await?;
    }
    Ok(())
}
