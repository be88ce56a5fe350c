//! The end: everything is deleted, everybody leaves, and nothing may be left.

use std::time::Duration;

use anyhow::Result;
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool};
use duckworker_history::line::{CLAIMS, LEASES, PODS, POOLS, SECRETS, TENANTS, WORKERS, name_of};
use duckworker_history::seen::{instance_state, made_for};
use duckworker_history::world::{Object, World};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, Resource, ResourceExt as _};

use super::sight::Sight;
use crate::wait::Watchable;

/// How long it may take until everything that was deleted is gone.
const LIMIT: Duration = Duration::from_mins(2);

/// Deletes all, and waits until it is gone. What is left after two minutes is told.
///
/// # Errors
/// When the API server refuses.
pub async fn delete_all(client: &Client, namespace: &str, sight: &Sight) -> Result<Vec<String>> {
    clear::<DuckWorkerClaim>(client, namespace).await?;
    clear::<DuckWorkerPool>(client, namespace).await?;
    clear::<DuckWorker>(client, namespace).await?;
    clear::<DuckTenant>(client, namespace).await?;
    // Whatever is left is told below, and what the error says is the same.
    let _ = sight.until_nothing(LIMIT, left).await;
    let mut left = sight.read(left);
    let api: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
    let budgets = api.list(&ListParams::default()).await?;
    left.extend(budgets.iter().map(|budget| format!("budget {}", budget.name_any())));
    Ok(left)
}

/// The Leases of instances that are left when all instances have left; those of the dead are deleted
/// by the living while there are any.
pub async fn leases(sight: &Sight, living: usize) -> Vec<String> {
    let left = |world: &World| {
        let all = world.all(LEASES).filter(|(_, lease)| instance_state(&lease.value).is_some());
        let names: Vec<String> =
            all.map(|(_, lease)| format!("lease {}", name_of(&lease.value))).collect();
        if names.len() > living { names } else { vec![] }
    };
    let _ = sight.until_nothing(LIMIT, left).await;
    sight.read(left)
}

async fn clear<K>(client: &Client, namespace: &str) -> Result<()>
where
    K: Watchable + Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.delete_collection(&DeleteParams::background(), &ListParams::default()).await?;
    Ok(())
}

/// What is there and should not be. Secrets of claims bear no worker's uid, but are ours as well.
fn left(world: &World) -> Vec<String> {
    let mut left = Vec::new();
    for kind in [WORKERS, POOLS, CLAIMS, TENANTS, SECRETS, PODS] {
        let is_ours = |o: &Object| kind != PODS || made_for(&o.value).is_some();
        let all = world.all(kind).filter(|(_, object)| is_ours(object));
        left.extend(all.map(|(_, object)| format!("{kind} {}", name_of(&object.value))));
    }
    left
}
