//! Many instances that want the same worker.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use duckworker_client::{
    Connection, Instance, InstanceSettings, Origin, Outcome, Role, WorkerLifecycle, WorkerStore,
};
use duckworker_core::{Miss, Tenant};
use duckworker_e2e::scenario::{bring, controller, scenario};
use duckworker_e2e::worker::plain;
use futures::future::try_join_all;

const CLAIMERS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_claimers_wins() -> Result<()> {
    scenario("claimers", async |ns| {
        let controller = controller(ns)?;
        bring(ns, plain("w1"), "Idle").await?;
        controller.stop().await?;
        let connection = Connection::new(ns.cluster.config()?)?;
        let store = WorkerStore::new(connection.clone());
        let lifecycles = try_join_all((0..CLAIMERS).map(|_| async {
            let times = InstanceSettings::default();
            let registered = Instance::register(&connection, &ns.name, Role::ControlPlane, times);
            let (instance, _heartbeat) = registered.await?;
            anyhow::Ok(WorkerLifecycle::new(store.clone(), instance))
        }))
        .await?;
        let seen = store.observe(&ns.name, "w1").await?.context("a worker")?;
        let mark = ns.cluster.audit().mark()?;
        let claims = try_join_all(lifecycles.iter().enumerate().map(|(n, lifecycle)| {
            let seen = Arc::new(seen.clone());
            async move {
                let tenant = Tenant::new(format!("tenant-{n}"))?;
                let outcome = lifecycle.claim_idle(&seen, tenant, None, Origin::Library).await?;
                anyhow::Ok((n, outcome))
            }
        }))
        .await?;
        let winners: Vec<_> = claims
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Transitioned(_)))
            .map(|(n, _)| *n)
            .collect();
        let others = claims.iter().filter(|(_, o)| matches!(o, Outcome::Missed(Miss::State)));
        assert_eq!((winners.len(), others.count()), (1, CLAIMERS - 1), "{claims:?}");
        let now = store.observe(&ns.name, "w1").await?.context("a worker")?;
        let status = &now.worker().status;
        assert_eq!(status.tenant, Some(Tenant::new(format!("tenant-{}", winners[0]))?));
        assert_eq!(status.epoch().get(), 2);
        let is_put = |event: &&duckworker_e2e::AuditEvent| {
            event.resource() == "duckworkers/status" && event.namespace() == ns.name.as_str()
        };
        let events = ns.cluster.audit().since(mark)?;
        let puts = events.iter().filter(is_put).count();
        eprintln!("{CLAIMERS} claimers: {puts} writes, one of which landed");
        ensure!(puts <= CLAIMERS, "nobody writes twice: {puts}");
        Ok(())
    })
    .await
}
