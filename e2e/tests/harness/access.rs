//! kubectl, users, tokens of service accounts, and the audit log.

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::{Cluster, ClusterOptions, User, pod_is_ready};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    core::v1::{ConfigMap, Pod},
};
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::pod;

const CONFIG_MAP: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: applied}
data: {greeting: quack}
";

#[tokio::test]
async fn kubectl_applies_and_shows() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("kubectl", async |ns| {
            ns.kubectl_apply_str(CONFIG_MAP).await?.ok()?;
            let path = "jsonpath={.data.greeting}";
            let shown = ns.kubectl(&["get", "configmap", "applied", "-o", path]).await?.ok()?;
            ensure!(shown == "quack", "{shown}");
            let missing = ns.kubectl(&["get", "configmap", "absent"]).await?.refused()?;
            ensure!(missing.contains("not found"), "{missing}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn kubectl_applies_a_kustomization() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("kustomize", async |ns| {
            let folder = cluster.state_folder().join(&ns.name);
            std::fs::create_dir(&folder)?;
            std::fs::write(folder.join("map.yaml"), CONFIG_MAP)?;
            let kustomization = format!("namespace: {}\nresources: [map.yaml]\n", ns.name);
            std::fs::write(folder.join("kustomization.yaml"), kustomization)?;
            let folder = folder.to_str().context("not UTF-8")?;
            cluster.kubectl(&["apply", "-k", folder]).await?.ok()?;
            ensure!(ns.api::<ConfigMap>().get_opt("applied").await?.is_some());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn users_may_do_what_is_bound_to_them() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("users", async |ns| {
            let alice = cluster.user("alice")?;
            let list = ["--namespace", &ns.name, "get", "pods"];
            let refusal = cluster.kubectl_as(alice, &list, "").await?.refused()?;
            ensure!(refusal.contains("User \"alice\" cannot list resource \"pods\""), "{refusal}");
            let bind = ["create", "rolebinding", "a", "--clusterrole=view", "--user=alice"];
            ns.kubectl(&bind).await?.ok()?;
            cluster.kubectl_as(alice, &list, "").await?.ok()?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_bound_token_carries_the_pod() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("token", async |ns| {
            ns.create::<Pod>(pod("bearer", &[])).await?;
            let pod = ns.await_object("bearer", "Ready", pod_is_ready).await?;
            let identity = cluster.service_account(&ns.name, "default", Some(&pod)).await?;
            let reviews: Api<SelfSubjectReview> = Api::all(identity.client()?);
            let question = SelfSubjectReview::default();
            let review = reviews.create(&PostParams::default(), &question).await?;
            let info = review.status.and_then(|s| s.user_info).context("no user info")?;
            ensure!(info.username.as_deref() == Some(identity.name()));
            let extra = info.extra.context("no extra")?;
            let name = extra.get("authentication.kubernetes.io/pod-name");
            ensure!(name.is_some_and(|name| name == &["bearer"]), "{extra:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_audit_log_names_who_did_what() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .with_namespace("audit", async |ns| {
            let mark = cluster.audit().mark()?;
            let map = json!({"metadata": {"name": "seen"}, "data": {"secret": "unspeakable"}});
            ns.create::<ConfigMap>(map).await?;
            let events = cluster
                .audit()
                .await_events(mark, "the config map", |events| {
                    events.iter().any(|event| event.name() == "seen")
                })
                .await?;
            let event = events.iter().find(|event| event.name() == "seen").context("no event")?;
            ensure!(event.verb == "create" && event.is_write());
            ensure!(event.resource() == "configmaps" && event.namespace() == ns.name);
            ensure!(event.user.username == "admin" && event.code() == Some(201));
            ensure!(event.request_received_timestamp <= event.stage_timestamp);
            let log = std::fs::read_to_string(cluster.audit().path())?;
            ensure!(!log.contains("unspeakable"));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn two_clusters_at_once_know_nothing_of_each_other() -> Result<()> {
    let options = ClusterOptions {
        users: vec![User::new("carol").group("system:masters")],
        ..ClusterOptions::api_only()
    };
    let (one, two) = tokio::try_join!(
        Cluster::start(options.clone()),
        Cluster::start(ClusterOptions::api_only()),
    )?;
    let map = serde_json::from_value(json!({"metadata": {"name": "here"}}))?;
    let maps = |client| Api::<ConfigMap>::namespaced(client, "default");
    maps(one.user("carol")?.client()?).create(&PostParams::default(), &map).await?;
    ensure!(maps(one.client()?).get_opt("here").await?.is_some());
    ensure!(maps(two.client()?).get_opt("here").await?.is_none());
    ensure!(two.user("carol").is_err());
    Ok(())
}
