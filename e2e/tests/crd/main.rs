//! What the CRD makes the API server enforce and show, without any controller.
#![allow(clippy::disallowed_methods, reason = "these tests are the clients that ours is not")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod bad_input;
mod cells;
mod shown;
mod tenants;
mod tightened;
#[path = "../support/writes.rs"]
mod writes;

use anyhow::Result;
use duckworker_e2e::Cluster;
use tokio::sync::OnceCell;

/// The cluster of these tests, with the CRDs and nothing else of ours.
async fn cluster() -> Result<&'static Cluster> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = Cluster::shared().await?;
    INSTALLED.get_or_try_init(|| cluster.install_crds()).await?;
    Ok(cluster)
}
