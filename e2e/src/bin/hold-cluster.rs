//! Holds a cluster until it is killed: the victim of the test that sees what a SIGKILL leaves.

use std::path::Path;

use anyhow::Result;
use duckworker_e2e::{Cluster, ClusterOptions, ControllerProcess};

/// Its one line of output names what must be gone after its death: state folder and processes.
#[tokio::main]
async fn main() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let sleep = Path::new("sleep");
    let admin = cluster.user("admin")?;
    let controller =
        ControllerProcess::start_program(&cluster, "sleeper", sleep, admin, &["1000"], &[])?;
    let mut pids = cluster.pids();
    pids.extend(controller.component().pid());
    let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
    println!("{} {}", cluster.state_folder().display(), pids.join(" "));
    std::future::pending().await
}
