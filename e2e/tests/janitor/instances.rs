//! Instances that leave for too long, and the Leases of the dead.

use std::time::Duration;

use anyhow::Result;
use duckworker_client::instance::{Office, lease_name};
use duckworker_e2e::await_gone;
use duckworker_e2e::scenario::{ControlPlane, await_event, controller_with, scenario};
use k8s_openapi::api::coordination::v1::Lease;

use super::eager;

#[tokio::test]
async fn an_instance_that_leaves_for_too_long_counts_as_dead() -> Result<()> {
    scenario("overdue", async |ns| {
        let mut settings = eager(ns)?;
        settings.janitor.draining_limit = Duration::from_secs(1);
        settings.janitor.instance_retention = Duration::from_secs(1);
        let _controller = controller_with(ns, settings)?;
        let leaving = ControlPlane::register(ns).await?;
        let staying = ControlPlane::register(ns).await?;
        let instance = leaving.lifecycle.instance();
        let name = lease_name(instance.owner());
        let lease: Lease = ns.api().get(&name).await?;
        let mut office = instance.office();
        // It goes on renewing its Lease, as one does that waits for sessions that never end.
        instance.start_draining();
        office.wait_for(|office| *office == Office::Over).await?;
        let said = await_event(ns, &name, "InstanceExpired").await?;
        assert!(said.contains("leaving for longer"), "{said}");
        // It owns nothing, so its Lease goes after a while; the others stay.
        await_gone(&ns.api(), &lease).await?;
        let office = *staying.lifecycle.instance().office().borrow();
        assert_eq!(office, Office::Active);
        Ok(())
    })
    .await
}
