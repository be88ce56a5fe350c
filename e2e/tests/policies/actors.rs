//! Those who write: two processes in pods, a person with the right to write statuses, and an
//! administrator.

use anyhow::{Context as _, Result};
use duckworker_api::DuckWorker;
use duckworker_e2e::{Identity, TestNamespace};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use serde_json::json;

/// One of them.
pub struct Actor {
    /// Who the API server takes him for, with an incarnation.
    pub id: String,
    /// What speaks in his name.
    pub client: Client,
    namespace: String,
}

impl Actor {
    /// His door to the workers.
    pub fn workers(&self) -> Api<DuckWorker> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// His door to other objects of the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// All of them.
pub struct Actors {
    /// A process in a pod.
    pub owner: Actor,
    /// Another process under the same service account, in another pod.
    pub peer: Actor,
    /// A person who may write statuses.
    pub person: Actor,
    /// Somebody who may do everything.
    pub admin: Actor,
}

impl Actors {
    /// Gives everybody his rights in the namespace.
    pub async fn new(ns: &TestNamespace<'_>) -> Result<Self> {
        ns.kubectl(&["create", "serviceaccount", "controller"]).await?.ok()?;
        let account = format!("--serviceaccount={}:controller", ns.name);
        bind(ns, "controller", "duckworker-controller", &account).await?;
        bind(ns, "person", "duckworker-control-plane", "--user=bob").await?;
        let leases = ["create", "role", "leases", "--resource=leases.coordination.k8s.io"];
        ns.kubectl(&[&leases[..], &["--verb=get,create,update"]].concat()).await?.ok()?;
        let leases = ["create", "rolebinding", "leases", "--role=leases", "--user=bob", &account];
        ns.kubectl(&leases).await?.ok()?;
        Ok(Self {
            owner: in_pod(ns, "owner").await?,
            peer: in_pod(ns, "peer").await?,
            person: user(ns, "bob")?,
            admin: user(ns, "admin")?,
        })
    }

    /// Everybody.
    pub fn all(&self) -> [&Actor; 4] {
        [&self.owner, &self.peer, &self.person, &self.admin]
    }
}

/// Gives a user or an account a cluster role in the namespace.
pub async fn bind(ns: &TestNamespace<'_>, name: &str, role: &str, to: &str) -> Result<()> {
    let role = format!("--clusterrole={role}");
    ns.kubectl(&["create", "rolebinding", name, &role, to]).await?.ok()?;
    Ok(())
}

/// A user who is no process.
pub fn user(ns: &TestNamespace<'_>, name: &str) -> Result<Actor> {
    actor(ns, ns.cluster.user(name)?, format!("user:{name}:one"))
}

async fn in_pod(ns: &TestNamespace<'_>, name: &str) -> Result<Actor> {
    let pod = json!({
        "metadata": { "name": name },
        "spec": {
            "serviceAccountName": "controller",
            "containers": [{ "name": "controller", "image": "example.invalid/controller:1" }],
        },
    });
    ns.create::<Pod>(pod).await?;
    let pod: Pod = ns.api().get(name).await?;
    let uid = pod.metadata.uid.as_deref().context("a pod without uid")?;
    let id = format!("{name}.{}.one", &uid[..8]);
    actor(ns, &ns.cluster.service_account(&ns.name, "controller", Some(&pod)).await?, id)
}

fn actor(ns: &TestNamespace<'_>, identity: &Identity, id: String) -> Result<Actor> {
    Ok(Actor { id, client: identity.client()?, namespace: ns.name.clone() })
}
