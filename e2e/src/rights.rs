//! The roles of `config/`, in a test's namespace: for programs that are not administrators.

use anyhow::Result;

use crate::namespace::TestNamespace;

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
