//! The namespaces in which a real node runs. `cluster/internal/sandbox` makes them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tokio::{io::AsyncReadExt as _, net::UnixListener};

use super::network::Network;
use crate::{component::Component, control_group, layout::Layout, parts::Parts, wait::PATIENCE};

/// How long the kernel may take to end all processes of the node.
const GRACE: Duration = Duration::from_secs(20);
/// Two clusters may choose one network at the same moment; that it happens thrice is no accident.
const TRIES: usize = 3;

/// Running namespaces. Dropping this ends every process in them.
pub(crate) struct Sandbox {
    component: Component,
    network: Network,
    first: u32,
}

/// What the sandbox tells when it is ready.
#[derive(Deserialize)]
struct Ready {
    /// The first process in the namespaces, as the machine numbers it.
    pid: u32,
}

impl Sandbox {
    /// Makes namespaces and a link to them.
    pub(crate) async fn start(parts: &Parts<'_>) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_network(parts, Network::unused()).await {
                Err(error) if tries == TRIES => {
                    return Err(error.context("a real node found no place on this machine"));
                }
                Err(_) => tries += 1,
                started => return started,
            }
        }
    }

    async fn try_network(parts: &Parts<'_>, network: Network) -> Result<Self> {
        let socket = parts.layout.path("sandbox.sock");
        // Left by a try before this one.
        let _ = std::fs::remove_file(&socket);
        control_group::remove_of(&parts.layout.path(""))?;
        let listener = UnixListener::bind(&socket)?;
        let component = parts.part("sandbox", "sandbox").args([
            format!("--folder={}", parts.layout.path("").display()),
            format!("--ready={}", socket.display()),
            format!("--control-group={}", control_group::of_cluster(&parts.layout.path(""))),
            format!("--link={}", network.link()),
            format!("--machine-address={}", Network::on_link(network.machine())),
            format!("--node-address={}", Network::on_link(network.node())),
            format!("--pods={}", network.pods()),
        ]);
        component.start()?;
        let ready = tokio::select! {
            ready = tokio::time::timeout(PATIENCE, read(&listener)) => ready,
            () = component.exited() => return Err(component.death()),
        };
        let Ok(ready) = ready else {
            bail!("the sandbox is not ready after {} s", PATIENCE.as_secs())
        };
        Ok(Self { component, network, first: ready?.pid })
    }

    pub(super) fn component(&self) -> &Component {
        &self.component
    }

    pub(crate) fn network(&self) -> Network {
        self.network
    }

    /// Describes a process of the node: a part of the binary, or `run -- ANY PROGRAM`.
    pub(super) fn inside(
        &self,
        name: &str,
        duckcluster: &std::path::Path,
        layout: &Layout,
    ) -> Component {
        let enter = ["enter".to_owned(), self.first.to_string()];
        Component::new(name, duckcluster, layout.log(name)).args(enter)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Asked to stop, it ends only after the last process of the node, so that nobody writes to
        // the state folder any more. A kill would return at once.
        let _ = self.component.end(GRACE);
    }
}

async fn read(listener: &UnixListener) -> Result<Ready> {
    let (mut connection, _) = listener.accept().await?;
    let mut words = Vec::new();
    connection.read_to_end(&mut words).await?;
    serde_json::from_slice(&words).context("the sandbox says something else")
}
