//! A fleet that the controller brings up.

use anyhow::Result;
use duckworker_e2e::bench::calls::Calls;
use duckworker_e2e::bench::fleet::{self, Arrivals};
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::worker::is;

use crate::Round;

/// Applies so many workers to a controller that waits for them, and counts its calls.
pub async fn round(ground: &Ground, workers: usize) -> Result<(Round, Calls)> {
    let cluster = &ground.cluster;
    let namespace = cluster.create_namespace("ours").await?;
    let controller = ground.controller("controller", &ground.account, &namespace.name).await?;
    let mark = cluster.audit().mark()?;
    let arrivals = Arrivals::watch(&namespace.client, &namespace.name, workers, is("Idle"));
    let names = fleet::names(workers);
    let asked = fleet::apply(&namespace.client, &namespace.name, &names, drop).await?;
    let idle = arrivals.all().await?;
    controller.stop().await?;
    let events = cluster.audit().since(mark)?;
    let calls = Calls::of(&events, ground.account.name(), &namespace.name);
    Ok((Round { asked, idle }, calls))
}
