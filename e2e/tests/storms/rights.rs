//! The API server itself refuses the controllers: their rights are gone, their tokens prove
//! nothing, or they are too many at once for the seats that they have.

use anyhow::{Result, ensure};
use duckworker_client::Connection;
use duckworker_e2e::{Cluster, ClusterOptions, Identity, TestNamespace};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::ground::{AFTER_RESTART, Calm, become_idle, live_through, recorded, remove, storm_time};

/// The account of both controllers, the binding of its rights, and its seats.
const NAME: &str = "storm";

/// Runs a storm over two controllers with tokens of a service account, and tells how soon work went on
/// and with which codes the API server answered them.
async fn under_an_account(
    name: &str,
    storm: impl AsyncFnOnce(&TestNamespace<'_>) -> Result<()>,
) -> Result<(Calm, Vec<u16>)> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    cluster.install_crds().await?;
    let (begin, account, calm) = recorded(&cluster, name, async |ns, _| {
        ns.create::<ServiceAccount>(json!({ "metadata": { "name": NAME } })).await?;
        bind(ns).await?;
        let account =
            async || -> Result<Identity> { cluster.service_account(&ns.name, NAME, None).await };
        let begin = cluster.audit().mark()?;
        let (one, other) = (account().await?, account().await?);
        let connections = [Connection::new(one.config()?)?, Connection::new(other.config()?)?];
        let calm = live_through(name, ns, connections, async || storm(ns).await).await?;
        anyhow::Ok((begin, one.name().to_owned(), calm))
    })
    .await?;
    let events = cluster.audit().since(begin)?;
    let of_ours = events.iter().filter(|event| event.user.username == account);
    Ok((calm, of_ours.filter_map(duckworker_e2e::AuditEvent::code).collect()))
}

async fn bind(ns: &TestNamespace<'_>) -> Result<()> {
    let binding = json!({
        "metadata": { "name": NAME },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": NAME, "namespace": ns.name }],
    });
    let bindings: Api<ClusterRoleBinding> = ns.cluster_api();
    bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
    Ok(())
}

#[tokio::test]
async fn the_rights_are_gone_for_a_while() -> Result<()> {
    let (_, codes) = under_an_account("rights-gone", async |ns| {
        let bindings: Api<ClusterRoleBinding> = ns.cluster_api();
        bindings.delete(NAME, &DeleteParams::default()).await?;
        tokio::time::sleep(storm_time()?).await;
        bind(ns).await
    })
    .await?;
    ensure!(codes.contains(&403), "nobody was refused");
    Ok(())
}

#[tokio::test]
async fn the_key_of_all_tokens_is_rotated_and_rotated_back() -> Result<()> {
    let (calm, _) = under_an_account("tokens-gone", async |ns| {
        let key = ns.cluster.revoke_tokens().await?;
        let stranger = ns.cluster.service_account(&ns.name, NAME, None).await?;
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::all(stranger.client()?);
        let answer = pods.list(&kube::api::ListParams::default()).await;
        ensure!(matches!(&answer, Err(kube::Error::Api(s)) if s.code == 401), "{answer:?}");
        tokio::time::sleep(storm_time()?).await;
        ns.cluster.restore_tokens(key).await
    })
    .await?;
    // The key comes back with a restart.
    ensure!(calm.ours <= AFTER_RESTART, "{calm:?}");
    Ok(())
}

/// First no seat at all, then a few, of which every further request is turned away.
#[tokio::test]
async fn the_account_has_no_seats_and_then_few() -> Result<()> {
    let (_, codes) = under_an_account("seats-gone", async |ns| {
        let levels: Api<PriorityLevelConfiguration> = ns.cluster_api();
        let (post, patch) = (PostParams::default(), PatchParams::default());
        levels.create(&post, &serde_json::from_value(level(0))?).await?;
        let schemas: Api<FlowSchema> = ns.cluster_api();
        schemas.create(&post, &serde_json::from_value(schema(ns))?).await?;
        tokio::time::sleep(storm_time()?).await;
        levels.patch(NAME, &patch, &Patch::Merge(level(1))).await?;
        let names: Vec<String> = (0..10).map(|number| format!("narrow{number}")).collect();
        try_join_all(names.iter().map(|name| become_idle(ns, name))).await?;
        try_join_all(names.iter().map(|name| remove(ns, name))).await?;
        schemas.delete(NAME, &DeleteParams::default()).await?;
        Ok(())
    })
    .await?;
    ensure!(codes.contains(&429), "nobody was refused");
    Ok(())
}

fn level(shares: i32) -> Value {
    json!({ "metadata": { "name": NAME }, "spec": { "type": "Limited", "limited": {
        "nominalConcurrencyShares": shares, "lendablePercent": 0, "borrowingLimitPercent": 0,
        "limitResponse": { "type": "Reject" },
    } } })
}

fn schema(ns: &TestNamespace<'_>) -> Value {
    let everything = json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"],
        "namespaces": ["*"], "clusterScope": true });
    json!({ "metadata": { "name": NAME }, "spec": {
        "matchingPrecedence": 2,
        "priorityLevelConfiguration": { "name": NAME },
        "rules": [{
            "subjects": [{ "kind": "ServiceAccount",
                "serviceAccount": { "name": NAME, "namespace": ns.name } }],
            "resourceRules": [everything],
        }],
    } })
}
