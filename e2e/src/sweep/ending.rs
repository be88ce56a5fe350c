//! What is left at the end of a run, without what a crash may change: times, ids, owner and epoch.

use anyhow::Result;
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::api::ListParams;
use serde_json::{Map, Value, json};

use super::pooled::POOL;
use crate::TestNamespace;
use crate::wait::Watchable;

/// What is left, as comparable JSON, by the plural names of the kinds.
pub async fn ending(ns: &TestNamespace<'_>) -> Result<Value> {
    let mut all = Map::new();
    all.insert("workers".into(), each(ns, worker).await?);
    all.insert("pods".into(), each(ns, pod).await?);
    all.insert("secrets".into(), each(ns, secret).await?);
    all.insert("pools".into(), each(ns, pool).await?);
    all.insert("budgets".into(), each(ns, budget).await?);
    all.insert("claims".into(), each(ns, claim).await?);
    all.insert("tenants".into(), each(ns, tenant).await?);
    Ok(Value::Object(all))
}

async fn each<K>(ns: &TestNamespace<'_>, shown: fn(&K) -> Value) -> Result<Value>
where
    K: Watchable + Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
{
    let all = ns.api::<K>().list(&ListParams::default()).await?;
    Ok(all.iter().map(shown).collect())
}

fn worker(worker: &DuckWorker) -> Value {
    let Some(status) = &worker.status else { return Value::Null };
    json!({
        "state": status.state,
        "newest": newest(worker),
        "tenant": status.tenant,
        "claim": status.claim.as_ref().map(|claim| &claim.name),
        "pod": status.pod.is_some(),
        "secretName": status.secret_name.as_deref().map(lasting),
        "serverName": status.server_name.is_some(),
        "endpoint": status.endpoint.is_some(),
        "idle": status.idle_since.is_some(),
        "observedGeneration": status.observed_generation,
        "conditions": conditions(&status.conditions),
        "finalizers": worker.metadata.finalizers,
        "deleting": worker.metadata.deletion_timestamp.is_some(),
    })
}

/// Name and reason of the newest transition but adoptions: a successor adopts what it finds, which
/// keeps the state, so that after a crash there may be one at any place.
fn newest(worker: &DuckWorker) -> Option<Value> {
    let mut transitions = worker.status.as_ref()?.transitions.iter();
    let newest = transitions.find(|transition| transition.name != "adopt")?;
    Some(json!([newest.name, newest.reason]))
}

fn conditions(conditions: &[Condition]) -> Value {
    conditions.iter().map(|c| json!([c.type_, c.status, c.reason])).collect()
}

fn pod(pod: &Pod) -> Value {
    json!({
        "name": pod.metadata.name.as_deref().map(lasting),
        "stops": pod.metadata.deletion_timestamp.is_some(),
        "owners": pod.metadata.owner_references.as_ref().map(Vec::len),
    })
}

/// Its keys only: the values are secret.
fn secret(secret: &Secret) -> Value {
    json!({
        "name": secret.metadata.name.as_deref().map(lasting),
        "immutable": secret.immutable,
        "keys": secret.data.as_ref().map(|data| data.keys().collect::<Vec<_>>()),
    })
}

fn pool(pool: &DuckWorkerPool) -> Value {
    let Some(status) = &pool.status else { return Value::Null };
    let seats = status.ordinals.taken.iter().map(|seat| json!([seat.ordinal, seat.uid.is_some()]));
    json!({
        "workers": status.workers,
        "replicas": status.replicas,
        "updatedReplicas": status.updated_replicas,
        "next": status.ordinals.next,
        "seats": seats.collect::<Vec<_>>(),
        "observedGeneration": status.observed_generation,
        "conditions": conditions(&status.conditions),
    })
}

fn budget(budget: &PodDisruptionBudget) -> Value {
    json!({
        "name": budget.metadata.name.as_deref().map(lasting),
        "owners": budget.metadata.owner_references.as_ref().map(Vec::len),
        "minAvailable": budget.spec.as_ref().map(|spec| &spec.min_available),
    })
}

fn claim(claim: &DuckWorkerClaim) -> Value {
    let Some(status) = &claim.status else { return Value::Null };
    json!({
        "phase": status.phase,
        "worker": status.worker.as_ref().map(|worker| lasting(&worker.name)),
        "source": status.source,
        "endpoint": status.endpoint.is_some(),
        "serverName": status.server_name.is_some(),
        "connectionSecretName": status.connection_secret_name,
        "readyAt": status.ready_at.is_some(),
        "observedGeneration": status.observed_generation,
        "conditions": conditions(&status.conditions),
    })
}

fn tenant(tenant: &DuckTenant) -> Value {
    let Some(status) = &tenant.status else { return Value::Null };
    let held = status.ledger.iter().map(|held| lasting(&held.worker));
    json!({
        "ledger": held.collect::<Vec<_>>(),
        "used": status.used,
        "observedGeneration": status.observed_generation,
        "conditions": conditions(&status.conditions),
    })
}

/// A name without the hash of the pool's uid: `p-1a2b3c-0` as `p-#-0`.
fn lasting(name: &str) -> String {
    let Some(rest) = name.strip_prefix(POOL).and_then(|rest| rest.strip_prefix('-')) else {
        return name.to_owned();
    };
    rest.split_once('-').map_or_else(|| format!("{POOL}-#"), |(_, end)| format!("{POOL}-#-{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_two_runs_are_alike() {
        assert_eq!(lasting("p-1a2b-0-rpc"), "p-#-0-rpc");
        assert_eq!(lasting("p-1a2b"), "p-#");
        assert_eq!(lasting("w-rpc"), "w-rpc");
    }

    #[test]
    fn what_a_successor_adopted_ends_as_what_nobody_had_to() {
        let entry = |name: &str| json!({ "name": name, "by": "x", "epoch": 1, "at": "2026-01-01T00:00:00Z", "reason": "Deleted" });
        let ended = |names: &[&str]| -> Option<Value> {
            let transitions: Vec<_> = names.iter().map(|name| entry(name)).collect();
            let mut worker = crate::worker::plain("w");
            worker["status"] = json!({ "state": "Idle", "transitions": transitions });
            newest(&serde_json::from_value(worker).unwrap())
        };
        assert_eq!(ended(&["adopt", "adopt", "drain", "ready"]), Some(json!(["drain", "Deleted"])));
        assert_eq!(ended(&["drain", "ready"]), Some(json!(["drain", "Deleted"])));
    }
}
