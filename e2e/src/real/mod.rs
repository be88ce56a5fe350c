//! A real node: a kubelet and a containerd that really run the pods, beside the simulated nodes.
//!
//! Both run in namespaces of their own, with a state folder of their own, out of packages that are
//! unpacked into the cache folder: nothing of the machine's is changed, and nothing is left when
//! the test process dies. It takes root on a machine with Debian's package tools; elsewhere, tests
//! of real pods say that they did not run (see [`Ran`]).

mod containerd;
pub mod duckdb;
mod image;
pub mod images;
mod kubelet;
mod libraries;
pub mod loss;
mod network;
mod packages;
mod ran;
mod sandbox;
pub mod stub;

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};

use crate::{
    component::Component, control_group, identity::Identity, node::is_usable, parts::Parts,
    ready::until_it_answers, wait,
};

pub use image::Image;
pub use ran::{Ran, real_scenario};

pub(crate) use network::Network;
pub(crate) use sandbox::Sandbox;

use containerd::Containerd;
use packages::Packages;

/// The label of a real node.
pub const REAL_NODE: (&str, &str) = ("duckworker.dev/node", "real");
/// The name of the real node of a cluster.
pub const NAME: &str = "real-0";

/// How long the parts of a node took to start.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// From the start of containerd until it answered and had its first image.
    pub runtime: Duration,
    /// From the start of the kubelet until its node was ready.
    pub node: Duration,
}

/// The real node of a cluster. Dropping it ends it, with all its pods.
pub struct RealNode {
    // Fields are dropped in this order: what ends the namespaces goes last.
    kubelet: Component,
    containerd: Containerd,
    cut: Component,
    control_group: String,
    sandbox: Sandbox,
    runtime_after: OnceLock<Duration>,
    node_after: OnceLock<Duration>,
}

/// Why there can be no real node on this machine, if so. Blocks while packages are fetched for the
/// first time.
pub fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("a real node needs root".to_owned());
    }
    Packages::fetch().err().map(|error| format!("{error:#}"))
}

impl RealNode {
    /// Describes the node and writes its configuration, in namespaces that are there already.
    pub(crate) fn new(parts: &Parts<'_>, sandbox: Sandbox, identity: &Identity) -> Result<Self> {
        let packages = Packages::fetch()?;
        let containerd = Containerd::new(parts, &sandbox, &packages)?;
        let kubelet = kubelet::kubelet(parts, &sandbox, &containerd, identity)?;
        // What the node itself sends and receives goes on.
        let cut = sandbox.inside("cut", parts.duckcluster, parts.layout).args([
            "run",
            "--",
            "sh",
            "-c",
            "echo 0 > /proc/sys/net/ipv4/ip_forward",
        ]);
        let control_group = control_group::of_cluster(&parts.layout.path(""));
        let (runtime_after, node_after) = Default::default();
        Ok(Self { kubelet, containerd, cut, control_group, sandbox, runtime_after, node_after })
    }

    /// Starts containerd and gives it the image that every pod needs. The API server need not be
    /// there yet.
    pub(crate) async fn start_runtime(&self) -> Result<()> {
        let started = Instant::now();
        self.containerd.component().start()?;
        self.containerd.await_ready().await?;
        let pause = tokio::task::spawn_blocking(images::pause).await??;
        self.containerd.import(&pause).await?;
        self.runtime_after.get_or_init(|| started.elapsed());
        Ok(())
    }

    /// Starts the kubelet and waits until the node can run pods.
    pub(crate) async fn join(&self, client: Client) -> Result<()> {
        let started = Instant::now();
        self.kubelet.start()?;
        let nodes: Api<Node> = Api::all(client);
        tokio::select! {
            ready = wait::await_object(&nodes, NAME, "Ready and without taints", is_usable) => ready?,
            () = self.kubelet.exited() => return Err(self.kubelet.death()),
        };
        self.node_after.get_or_init(|| started.elapsed());
        Ok(())
    }

    /// Its parts, for logs and for tests that break them.
    pub(crate) fn parts(&self) -> [&Component; 3] {
        [self.sandbox.component(), self.containerd.component(), &self.kubelet]
    }

    /// The kubelet. Pods go on without it.
    pub fn kubelet(&self) -> &Component {
        &self.kubelet
    }

    /// Makes an image known to the node, and tells how long that took.
    ///
    /// # Errors
    /// When it cannot be made, or containerd refuses it.
    pub async fn load(&self, image: &Image) -> Result<Duration> {
        let started = Instant::now();
        self.containerd.import(image).await?;
        Ok(started.elapsed())
    }

    /// The ids of all containers that run on the node, those that hold pods open included.
    ///
    /// # Errors
    /// When containerd does not answer.
    pub async fn containers(&self) -> Result<Vec<String>> {
        let told = self.containerd.ctr(&["--namespace", "k8s.io", "tasks", "list", "--quiet"]);
        Ok(told.await?.lines().map(str::to_owned).collect())
    }

    /// Waits until none of these containers runs any more.
    ///
    /// # Errors
    /// Those that do after a minute.
    pub async fn await_ended(&self, containers: &[String]) -> Result<()> {
        until_it_answers("the end of the containers", async || {
            let mut running = self.containers().await?;
            running.retain(|container| containers.contains(container));
            anyhow::ensure!(running.is_empty(), "still running: {}", running.join(", "));
            Ok(())
        })
        .await
    }

    /// The processes of a container, as the machine numbers them.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn processes(&self, container: &str) -> Result<Vec<u32>> {
        let all = control_group::folders(&self.control_group);
        let group = all.iter().find_map(|folder| control_group::below(folder, container));
        let group = group.with_context(|| format!("no control group of container {container}"))?;
        let text = std::fs::read_to_string(group.join("cgroup.procs"))?;
        text.lines().map(|line| Ok(line.parse()?)).collect()
    }

    /// Cuts the pods off from everybody outside of the node, as a broken network does. The kubelet
    /// goes on speaking to them and to the API server. The next pod that starts ends it.
    ///
    /// # Errors
    /// When the node's network cannot be changed.
    pub async fn cut_pods_off(&self) -> Result<()> {
        self.cut.start()?;
        self.cut.exited().await;
        let complaints = self.cut.log_tail(5);
        anyhow::ensure!(complaints.is_empty(), "the pods are not cut off: {complaints}");
        Ok(())
    }

    /// How long its start took; none while it starts.
    pub fn timings(&self) -> Option<Timings> {
        Some(Timings { runtime: *self.runtime_after.get()?, node: *self.node_after.get()? })
    }

    /// What the node leaves on the machine if it is not ended well: the name of a network link, and
    /// of control groups.
    pub fn traces(&self) -> (String, String) {
        (self.sandbox.network().link(), self.control_group.clone())
    }
}
