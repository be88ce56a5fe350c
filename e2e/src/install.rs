//! Installing the product on a cluster, as a user would.

use std::path::{Path, PathBuf};

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, api::PostParams, runtime::watcher};
use serde_json::json;

use crate::{
    cluster::Cluster, controller::ControllerProcess, controller::controller_binary,
    identity::Identity, wait::await_list,
};

/// The namespace that `config/` installs into.
pub const SYSTEM: &str = "duckworker-system";
/// The service account of the controller there.
pub(crate) const ACCOUNT: &str = "duckworker";

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

    /// Applies the whole of `config/default`, once: roles, policies, flow control, the controller's
    /// Deployment. Policies bite about a second later.
    ///
    /// # Errors
    /// With kubectl's words.
    pub async fn install_config(&self) -> Result<()> {
        let apply = async {
            let folder = project_root().join("config/default");
            self.kubectl(&["apply", "-k", &folder.to_string_lossy()]).await?.ok().map(drop)
        };
        self.config.get_or_try_init(|| apply).await?;
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

/// Short Leases: a crash costs seconds.
const SHORT_LEASES: [&str; 6] =
    ["--lease-renew", "300ms", "--lease-pause", "2s", "--lease-expire", "3s"];

/// Starts a replica under the controller's own account, with a token bound to a pod as in a
/// Deployment, and with short Leases. The rights must be installed.
///
/// # Errors
/// When the account is missing or the program does not start.
pub async fn replica(
    cluster: &Cluster,
    name: &str,
    more: &[&str],
) -> Result<(ControllerProcess, Identity)> {
    let args = [&SHORT_LEASES[..], more].concat();
    replica_of(cluster, name, controller_binary().await?, &args).await
}

/// The same of any build of the controller, with these flags.
///
/// # Errors
/// When the account is missing or the program does not start.
pub async fn replica_of(
    cluster: &Cluster,
    name: &str,
    program: &Path,
    flags: &[&str],
) -> Result<(ControllerProcess, Identity)> {
    let pod = json!({
        "metadata": { "name": name },
        "spec": { "serviceAccountName": ACCOUNT,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{ "name": "controller", "image": "example.invalid/duckworker:1",
                "securityContext": { "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] } } }] },
    });
    let pods: Api<Pod> = Api::namespaced(cluster.client()?, SYSTEM);
    let pod = pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let identity = cluster.service_account(SYSTEM, ACCOUNT, Some(&pod)).await?;
    let args = [&["controller", "--admin-address", "127.0.0.1:0"][..], flags].concat();
    let process = ControllerProcess::start_program(cluster, name, program, &identity, &args, &[])?;
    Ok((process, identity))
}

fn is_served(definition: &CustomResourceDefinition) -> bool {
    let status = definition.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.type_ == "Established" && c.status == "True")
}
