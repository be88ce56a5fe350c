//! Installing the product on a cluster, as a user would.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cluster::Cluster;

/// The top of the project.
pub fn project_root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The folder of the custom resource definitions.
pub fn crds() -> PathBuf {
    project_root().join("crds")
}

impl Cluster {
    /// Applies `crds/` with plain kubectl and waits until the API server serves them. Several
    /// tests may do so at once.
    ///
    /// # Errors
    /// With kubectl's words.
    pub async fn install_crds(&self) -> Result<()> {
        let folder = crds();
        let folder = folder.to_string_lossy();
        self.kubectl(&["apply", "-f", &folder]).await?.ok()?;
        let kinds = [
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
        ];
        let args: Vec<&str> = kinds
            .into_iter()
            .chain(["duckworkers.duckworker.dev"])
            .collect();
        self.kubectl(&args).await?.ok()?;
        Ok(())
    }
}
