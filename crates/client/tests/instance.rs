//! Instances among themselves, on the simulated API server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod common;

use std::sync::Arc;

use anyhow::{Result, ensure};
use common::{NAMESPACE, scene};
use duckworker_client::instance::{Heartbeat, InstanceState, lease_name, scope_of, state_of};
use duckworker_client::{Connection, Error, Instance, InstanceSettings, Role};
use duckworker_faults::Faults;
use duckworker_sim::{SimCluster, User};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

type Registered = Result<(Arc<Instance>, Heartbeat), Error>;

fn connect(cluster: &SimCluster, pod: &str, uid: &str, faults: &Faults) -> Connection {
    let user = User::in_pod(NAMESPACE, "duckworker", pod, uid);
    Connection::over(cluster.service(user, faults), NAMESPACE)
}

async fn register(connection: &Connection, role: Role) -> Registered {
    Instance::register(connection, NAMESPACE, role, InstanceSettings::default()).await
}

async fn standing(cluster: &SimCluster, instance: &Instance) -> Result<InstanceState> {
    let leases: Api<Lease> = Api::namespaced(cluster.admin(), NAMESPACE);
    Ok(state_of(&leases.get(&lease_name(instance.owner())).await?))
}

#[test]
fn a_restarted_container_expires_the_earlier_incarnations_of_its_own_pod() -> Result<()> {
    scene(async |cluster| {
        let none = Faults::none();
        let pod = connect(&cluster, "cp-0", "11111111-a", &none);
        let namesake = connect(&cluster, "cp-0", "22222222-b", &none);
        let (before, _) = register(&pod, Role::Controller).await?;
        let (beside, _) = register(&pod, Role::ControlPlane).await?;
        let (other, _) = register(&namesake, Role::Controller).await?;
        let (now, _) = register(&pod, Role::Controller).await?;
        let expired = now.expire_predecessors(&pod, Role::Controller).await?;
        ensure!(expired == [before.owner().clone()], "{expired:?}");
        ensure!(standing(&cluster, &before).await? == InstanceState::Expired);
        for lives in [&now, &beside, &other] {
            ensure!(
                standing(&cluster, lives).await? == InstanceState::Active,
                "{:?}",
                lives.owner()
            );
        }
        ensure!(now.expire_predecessors(&pod, Role::Controller).await?.is_empty());
        // A person may run several.
        let user = User::named("alice");
        let person = Connection::over(cluster.service(user, &none), NAMESPACE);
        let (first, _) = register(&person, Role::ControlPlane).await?;
        let (second, _) = register(&person, Role::ControlPlane).await?;
        ensure!(second.expire_predecessors(&person, Role::ControlPlane).await?.is_empty());
        ensure!(standing(&cluster, &first).await? == InstanceState::Active);
        Ok(())
    })
}

#[test]
fn a_controller_tells_what_it_watches() -> Result<()> {
    scene(async |cluster| {
        let connection = connect(&cluster, "cp-0", "11111111-a", &Faults::none());
        let settings = InstanceSettings::default();
        let scope = Some("a,b");
        let registered =
            Instance::register_watching(&connection, NAMESPACE, Role::Controller, settings, scope);
        let (instance, _) = registered.await?;
        let leases: Api<Lease> = Api::namespaced(cluster.admin(), NAMESPACE);
        let lease = leases.get(&lease_name(instance.owner())).await?;
        ensure!(scope_of(&lease) == scope);
        Ok(())
    })
}
