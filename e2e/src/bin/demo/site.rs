//! The cluster of the demo: an embedded one, or one of the user's own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use duckworker_api::samples;
use duckworker_e2e::install::project_root;
use duckworker_e2e::real::{Image, images, obstacle};
use duckworker_e2e::worker_build::libduckdb;
use duckworker_e2e::{Cluster, ClusterOptions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::show;

/// Where the demo runs.
pub enum Site {
    /// A cluster that is there for the demo only.
    Embedded(Box<Cluster>),
    /// The user's.
    Own {
        /// One that names the context.
        kubeconfig: tempfile::NamedTempFile,
    },
}

/// What stands behind the demo's workers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// Pods that really run DuckDB.
    DuckDb,
    /// Pods with nobody in them that the controller could speak to.
    StandIns,
}

/// A site, its client, and what can be shown on it.
pub type Prepared = (Site, Client, Workers);

/// Builds what is needed and starts a cluster; with real workers where this machine can have them.
pub async fn embedded() -> Result<Prepared> {
    show::step("Building what the demo runs, where that is not done yet");
    show::say("the first time this takes some minutes; later, seconds");
    let images = match tokio::task::spawn_blocking(why_no_duckdb).await? {
        None => Some([images::controller().await?, images::worker_as(samples::IMAGE).await?]),
        Some(why) => {
            show::warn(&format!(
                "SIMULATED: no pod of this demo really runs, so no SQL is shown.\n\
                 {why}\n\
                 API server, controller, fences, pools and claims are real all the same."
            ));
            None
        }
    };
    show::step("Starting an embedded Kubernetes: etcd, API server, controller manager, scheduler");
    let options = match &images {
        Some(_) => ClusterOptions { simulated_nodes: 0, real_node: true, ..Default::default() },
        None => ClusterOptions::default(),
    };
    let cluster = Cluster::start(options).await?;
    for image in images.iter().flatten() {
        load(&cluster, image).await?;
    }
    let client = cluster.client()?;
    let workers = if images.is_some() { Workers::DuckDb } else { Workers::StandIns };
    Ok((Site::Embedded(Box::new(cluster)), client, workers))
}

/// Gives the node an image that it would otherwise pull.
async fn load(cluster: &Cluster, image: &Image) -> Result<()> {
    let took = cluster.real_node()?.load(image).await?;
    show::say(&format!("the node has the image {} ({} ms)", image.name(), took.as_millis()));
    Ok(())
}

/// Why no DuckDB can run here, if so. Blocks while packages are fetched for the first time.
fn why_no_duckdb() -> Option<String> {
    // The first line says what to do; others are the words of a program that failed.
    let first_line = |error| format!("{error:#}").lines().next().unwrap_or_default().to_owned();
    obstacle().or_else(|| libduckdb().err().map(first_line))
}

/// Uses a cluster of the user's own.
pub async fn own(name: &str) -> Result<Prepared> {
    show::step(&format!("Using the context {name:?} of your kubeconfig"));
    let mut kubeconfig = Kubeconfig::read().context("your kubeconfig cannot be read")?;
    kubeconfig.current_context = Some(name.to_owned());
    let file = tempfile::NamedTempFile::new().context("no temporary file")?;
    std::fs::write(file.path(), serde_json::to_vec(&kubeconfig)?)?;
    let options = KubeConfigOptions { context: Some(name.to_owned()), ..Default::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    show::warn(
        "NO SQL HERE: the controller runs on this machine, which reaches no pods of that cluster,\n\
         so it does not speak to its workers. `cargo demo` without --context shows SQL.",
    );
    let client = Client::try_from(config)?;
    Ok((Site::Own { kubeconfig: file }, client, Workers::StandIns))
}

/// kubectl.
impl Site {
    /// The kubeconfig of somebody who may do everything.
    pub fn kubeconfig(&self) -> Result<PathBuf> {
        match self {
            Self::Embedded(cluster) => cluster.kubeconfig().map(Path::to_owned),
            Self::Own { kubeconfig } => Ok(kubeconfig.path().to_owned()),
        }
    }

    /// kubectl: our own build on the embedded cluster, the user's on theirs.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let program = match self {
            Self::Embedded(cluster) => cluster.kubectl_path(),
            Self::Own { .. } => PathBuf::from("kubectl"),
        };
        let mut command = Command::new(program);
        command.args(args).env("KUBECONFIG", self.kubeconfig()?).current_dir(project_root());
        Ok(command)
    }

    /// Runs kubectl with this on its standard input: whether it succeeded, and all that it said.
    pub async fn run(&self, args: &[&str], input: &str) -> Result<(bool, String)> {
        let mut command = self.command(args)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot run kubectl")?;
        let mut pipe = child.stdin.take().context("kubectl has no input")?;
        // One that fails early does not read it, and says why.
        let _ = pipe.write_all(input.as_bytes()).await;
        drop(pipe);
        let output = child.wait_with_output().await.context("cannot run kubectl")?;
        let words = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&words).into_owned()))
    }

    /// Runs kubectl, which must succeed.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let (success, words) = self.run(args, "").await?;
        if !success {
            bail!("`kubectl {}` failed: {words}", args.join(" "));
        }
        Ok(words)
    }

    /// Runs kubectl and shows what it printed.
    pub async fn kubectl_shown(&self, args: &[&str]) -> Result<String> {
        let output = self.kubectl(args).await?;
        show::command(&format!("kubectl {}", args.join(" ")), &output);
        Ok(output)
    }
}
