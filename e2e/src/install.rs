//! Installing the product on a cluster, as a user would.

use std::path::{Path, PathBuf};

use anyhow::Result;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, runtime::watcher};

use crate::{cluster::Cluster, wait::await_list};

/// The top of the project.
pub fn project_root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The folder of the custom resource definitions.
pub fn crds() -> PathBuf {
    project_root().join("crds")
}

impl Cluster {
    /// Applies `crds/` with plain kubectl, once, and waits until the API server serves them.
    ///
    /// # Errors
    /// With kubectl's words.
    pub async fn install_crds(&self) -> Result<()> {
        self.crds.get_or_try_init(|| self.apply_crds()).await?;
        Ok(())
    }

    async fn apply_crds(&self) -> Result<()> {
        let folder = crds();
        self.kubectl(&["apply", "-f", &folder.to_string_lossy()]).await?.ok()?;
        let definitions = Api::all(self.client()?);
        let everything = watcher::Config::default();
        await_list(&definitions, &everything, "served", |all| all.iter().all(is_served)).await?;
        Ok(())
    }
}

fn is_served(definition: &CustomResourceDefinition) -> bool {
    let status = definition.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.type_ == "Established" && c.status == "True")
}
