//! Who may write a tenant, and who may make workers and claims for one.

use anyhow::{Result, ensure};
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim};
use duckworker_e2e::claim::claim;
use duckworker_e2e::{TestNamespace, worker};
use k8s_openapi::api::rbac::v1::Role;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::actors::{Actor, Actors, bind, user};
use crate::writes::verdict;
use crate::{cluster, until};

fn tenant(name: &str, secret: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "activationSecretRef": { "name": secret }, "maxWorkers": 3 },
    })
}

async fn create(actor: &Actor, tenant: Value, params: &PostParams) -> Result<Result<(), String>> {
    let tenant: DuckTenant = serde_json::from_value(tenant)?;
    Ok(verdict(actor.api().create(params, &tenant).await)?.map(drop))
}

async fn patch(actor: &Actor, name: &str, change: Value) -> Result<Result<(), String>> {
    let api = actor.api::<DuckTenant>();
    let answer = api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
    Ok(verdict(answer)?.map(drop))
}

async fn dedicate(
    actor: &Actor,
    name: &str,
    tenant: &str,
    params: &PostParams,
) -> Result<Result<(), String>> {
    let worker: DuckWorker = serde_json::from_value(worker::dedicated(name, tenant))?;
    Ok(verdict(actor.workers().create(params, &worker).await)?.map(drop))
}

async fn wish(
    actor: &Actor,
    name: &str,
    tenant: &str,
    params: &PostParams,
) -> Result<Result<(), String>> {
    let claim: DuckWorkerClaim = serde_json::from_value(claim(name, "p", tenant))?;
    Ok(verdict(actor.api().create(params, &claim).await)?.map(drop))
}

/// A user with exactly these rights in the namespace, each a resource, its names and its verbs.
async fn user_who_may(
    ns: &TestNamespace<'_>,
    name: &str,
    rights: &[(&str, &[&str], &str)],
) -> Result<Actor> {
    let rules: Vec<Value> = rights
        .iter()
        .map(|(resource, names, verbs)| {
            let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
            let verbs: Vec<&str> = verbs.split(',').collect();
            json!({
                "apiGroups": [group], "resources": [resource], "resourceNames": names, "verbs": verbs,
            })
        })
        .collect();
    ns.create::<Role>(json!({ "metadata": { "name": name }, "rules": rules })).await?;
    let (role, user_name) = (format!("--role={name}"), format!("--user={name}"));
    ns.kubectl(&["create", "rolebinding", name, &role, &user_name]).await?.ok()?;
    user(ns, name)
}

/// Waits until both policies of this file bite.
pub async fn await_policies(ns: &TestNamespace<'_>) -> Result<()> {
    let everything = "create,update,patch,get,delete";
    let rights: &[(&str, &[&str], &str)] = &[
        ("ducktenants.duckworker.dev", &[], everything),
        ("duckworkers.duckworker.dev", &[], everything),
        ("pods", &[], "create"),
    ];
    let nosy = user_who_may(ns, "alice", rights).await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    until("duckworker-tenant-secret", async || {
        Ok(create(&nosy, tenant("t", "s"), &dry_run).await?.err().unwrap_or_default())
    })
    .await?;
    until("duckworker-tenant-use", async || {
        Ok(dedicate(&nosy, "w", "t", &dry_run).await?.err().unwrap_or_default())
    })
    .await
}

fn refused(verdict: Result<(), String>, sentence: &str) -> Result<()> {
    let refusal = verdict.err().unwrap_or_default();
    ensure!(refusal.contains(sentence), "wanted {sentence:?}, got {refusal:?}");
    Ok(())
}

fn fine(verdict: Result<(), String>) -> Result<()> {
    verdict.map_err(anyhow::Error::msg)
}

#[tokio::test]
async fn who_writes_a_tenant_must_be_allowed_to_read_its_secret() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("tenant-secret", async |ns| {
            let rights: &[(&str, &[&str], &str)] = &[
                ("ducktenants.duckworker.dev", &[], "create,update,patch,get"),
                ("secrets", &["hers"], "get"),
            ];
            let alice = user_who_may(ns, "alice", rights).await?;
            let post = PostParams::default();
            let sentence = "must be allowed to get its activation secret: secret others";
            granted(async || create(&alice, tenant("fine", "hers"), &post).await).await?;
            refused(create(&alice, tenant("not", "others"), &post).await?, sentence)?;
            let plain = json!({ "metadata": { "name": "plain" }, "spec": {} });
            fine(create(&alice, plain, &post).await?)?;
            let name_it = json!({ "spec": { "activationSecretRef": { "name": "others" } } });
            refused(patch(&alice, "plain", name_it.clone()).await?, sentence)?;
            refused(patch(&alice, "fine", name_it).await?, sentence)?;
            // One that names another's secret can be labelled, but not changed.
            let admin = user(ns, "admin")?;
            fine(create(&admin, tenant("foreign", "others"), &post).await?)?;
            let label = json!({ "metadata": { "labels": { "a": "b" } } });
            fine(patch(&alice, "foreign", label).await?)?;
            let cap = json!({ "spec": { "maxWorkers": 9 } });
            refused(patch(&alice, "foreign", cap).await?, sentence)?;
            let drop_it = json!({ "spec": { "activationSecretRef": null } });
            fine(patch(&alice, "foreign", drop_it).await?)
        })
        .await
}

#[tokio::test]
async fn who_makes_a_worker_for_a_tenant_must_be_allowed_to_use_it() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("tenant-use", async |ns| {
            let rights: &[(&str, &[&str], &str)] = &[
                ("duckworkers.duckworker.dev", &[], "create"),
                ("pods", &[], "create"),
                ("ducktenants.duckworker.dev", &["acme"], "use"),
            ];
            let bob = user_who_may(ns, "bob", rights).await?;
            let post = PostParams::default();
            granted(async || dedicate(&bob, "hers", "acme", &post).await).await?;
            // Whether or not there is a tenant of that name: it may come later.
            refused(dedicate(&bob, "no", "other", &post).await?, "needs the verb use on")?;
            let other = user(ns, "admin")?;
            fine(create(&other, tenant("other", "s"), &post).await?)?;
            refused(dedicate(&bob, "no", "other", &post).await?, "needs the verb use on")?;
            fine(dedicate(&other, "yes", "other", &post).await?)?;
            let plain: DuckWorker = serde_json::from_value(worker::plain("plain"))?;
            fine(verdict(bob.workers().create(&post, &plain).await)?.map(drop))
        })
        .await
}

#[tokio::test]
async fn who_claims_for_a_tenant_must_be_allowed_to_use_it() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("claim-use", async |ns| {
            let rights: &[(&str, &[&str], &str)] = &[
                ("duckworkerclaims.duckworker.dev", &[], "create,patch"),
                ("ducktenants.duckworker.dev", &["acme"], "use"),
            ];
            let alice = user_who_may(ns, "alice", rights).await?;
            let post = PostParams::default();
            granted(async || wish(&alice, "hers", "acme", &post).await).await?;
            let sentence = "whoever creates a claim for tenant other needs the verb use on the \
                            DuckTenant of that name in namespace";
            // Whether or not there is a tenant of that name: it may come later.
            refused(wish(&alice, "no", "other", &post).await?, sentence)?;
            let admin = user(ns, "admin")?;
            fine(create(&admin, tenant("other", "s"), &post).await?)?;
            refused(wish(&alice, "no", "other", &post).await?, sentence)?;
            fine(wish(&admin, "yes", "other", &post).await?)?;
            // Labels of a claim that is there are nobody's tenant.
            let label = json!({ "metadata": { "labels": { "a": "b" } } });
            let claims = alice.api::<DuckWorkerClaim>();
            let labelled = claims.patch("yes", &PatchParams::default(), &Patch::Merge(label)).await;
            fine(verdict(labelled)?.map(drop))
        })
        .await
}

#[tokio::test]
async fn processes_get_no_tenant_from_their_roles_and_editors_get_all() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("claim-roles", async |ns| {
            let actors = Actors::new(ns).await?;
            bind(ns, "plain", "edit", "--user=alice").await?;
            let alice = user(ns, "alice")?;
            let post = PostParams::default();
            granted(async || wish(&alice, "hers", "acme", &post).await).await?;
            for actor in [&actors.owner, &actors.peer, &actors.person] {
                let refusal = wish(actor, "c", "acme", &post).await?;
                refused(refusal, "cannot create resource \"duckworkerclaims\"")?;
            }
            fine(wish(&actors.admin, "theirs", "acme", &post).await?)
        })
        .await
}

/// The API server hears of new rights a moment later.
pub async fn granted(attempt: impl AsyncFn() -> Result<Result<(), String>>) -> Result<()> {
    let granted = async {
        while attempt().await?.is_err() {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(duckworker_e2e::PATIENCE, granted).await?
}
