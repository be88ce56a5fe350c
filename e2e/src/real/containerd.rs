//! The container runtime of a real node: a containerd of the cluster's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tokio::net::UnixStream;

use super::{image::Image, images::PAUSE, network::Network, packages::Packages, sandbox::Sandbox};
use crate::{component::Component, layout::Layout, parts::Parts, ready::until_it_answers};

/// A containerd inside of a sandbox.
pub(super) struct Containerd {
    component: Component,
    packages: Packages,
    socket: PathBuf,
    /// Where archives lie while they are imported.
    archives: PathBuf,
}

impl Containerd {
    /// Describes it and writes its configuration.
    pub(super) fn new(parts: &Parts<'_>, sandbox: &Sandbox, packages: &Packages) -> Result<Self> {
        let layout = parts.layout;
        let socket = layout.path("containerd.sock");
        let networks = layout.path("cni");
        fs::create_dir(&networks)?;
        fs::write(networks.join("pods.conflist"), pod_network(layout, sandbox.network()))?;
        let config =
            layout.write("containerd.toml", configuration(layout, packages, &networks)?)?;
        let component = sandbox
            .inside("containerd", parts.duckcluster, layout)
            .args(["run".into(), "--".into(), packages.program("containerd")?])
            .args(["--config".into(), config])
            .env("PATH", packages.search_path()?)
            .env("LD_LIBRARY_PATH", packages.library_path()?);
        let archives = layout.path("archives");
        fs::create_dir(&archives)?;
        Ok(Self { component, packages: packages.clone(), socket, archives })
    }

    pub(super) fn component(&self) -> &Component {
        &self.component
    }

    /// Its address, as kubelet and ctr want it.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits until it answers, after its start.
    pub(super) async fn await_ready(&self) -> Result<()> {
        let ready = until_it_answers("containerd", async || {
            UnixStream::connect(&self.socket).await?;
            self.ctr(&["version"]).await.map(drop)
        });
        tokio::select! {
            ready = ready => ready,
            () = self.component.exited() => Err(self.component.death()),
        }
    }

    /// Makes an image known to the node.
    pub(super) async fn import(&self, image: &Image) -> Result<()> {
        let archive = self.archives.join(format!("{:08x}.tar", rand::random::<u32>()));
        let (to, written) = (archive.clone(), image.clone());
        tokio::task::spawn_blocking(move || written.write(fs::File::create(to)?)).await??;
        let path = archive.to_string_lossy();
        let imported = self.ctr(&["--namespace", "k8s.io", "images", "import", &path]).await;
        fs::remove_file(&archive)?;
        let told = imported.with_context(|| format!("cannot import {}", image.name()))?;
        ensure!(told.contains(image.name()), "{} was not imported: {told}", image.name());
        Ok(())
    }

    /// Runs containerd's own command line.
    pub(super) async fn ctr(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(self.packages.program("ctr")?);
        command.arg("--address").arg(&self.socket).args(args).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        if !output.status.success() {
            bail!("ctr {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// What differs from the defaults. Whatever is not named here lies under `/run`, which the sandbox
/// has for itself.
fn configuration(layout: &Layout, packages: &Packages, networks: &Path) -> Result<String> {
    // A path as a string of TOML: the escapes are those of JSON.
    let quoted = |path: &Path| json!(path.display().to_string()).to_string();
    Ok(format!(
        r#"version = 2
root = {root}
state = "/run/containerd"
# Each of these would make folders of its own, or look for tools that are not there.
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]

[grpc]
address = {socket}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# Only who has CAP_SYS_RESOURCE may protect a process from the kernel's choice of victims.
restrict_oom_score_adj = true
# Profiles are loaded into the kernel of the whole machine.
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {plugins}
conf_dir = {networks}

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = {runc}
"#,
        root = quoted(&layout.path("containerd")),
        socket = quoted(&layout.path("containerd.sock")),
        plugins = quoted(&packages.network_plugins()),
        networks = quoted(networks),
        runc = quoted(&packages.program("runc")?),
    ))
}

/// A bridge with addresses that are given out by this node alone. Nothing is masked: the machine
/// has a route to the pods.
fn pod_network(layout: &Layout, network: Network) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "pods",
            "isGateway": true,
            "ipam": {
                "type": "host-local",
                "dataDir": layout.path("pod-addresses"),
                "ranges": [[{ "subnet": network.pods() }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
    .to_string()
}
