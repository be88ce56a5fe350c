//! The roles and policies of `config/`, in a test's namespace: for programs that are not
//! administrators.

use anyhow::Result;

use tokio::sync::OnceCell;

use crate::cluster::Cluster;
use crate::install::project_root;
use crate::namespace::TestNamespace;

/// Installs the whole of `config/default`, once: roles, policies, flow control. Policies bite about a
/// second later.
///
/// # Errors
/// With kubectl's words.
pub async fn install(cluster: &Cluster) -> Result<()> {
    // Two first applies at once would stumble over each other.
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let install = async {
        let folder = project_root().join("config/default");
        cluster.kubectl(&["apply", "-k", &folder.to_string_lossy()]).await?.ok().map(drop)
    };
    INSTALLED.get_or_try_init(|| install).await?;
    Ok(())
}

/// Gives a user (`--user=NAME`) or an account (`--serviceaccount=NAMESPACE:NAME`) what a control
/// plane needs in the namespace, with the Leases of instances in the same one.
///
/// # Errors
/// With kubectl's words.
pub async fn control_plane(ns: &TestNamespace<'_>, to: &str) -> Result<()> {
    let role = "--clusterrole=duckworker-control-plane";
    ns.kubectl(&["create", "rolebinding", "control-plane", role, to]).await?.ok()?;
    let leases = ["create", "role", "leases", "--resource=leases.coordination.k8s.io"];
    let verbs = ["--verb=get,list,watch,create,update,delete"];
    ns.kubectl(&[&leases[..], &verbs].concat()).await?.ok()?;
    ns.kubectl(&["create", "rolebinding", "leases", "--role=leases", to]).await?.ok()?;
    Ok(())
}
