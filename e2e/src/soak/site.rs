//! The cluster with the product on it, and what people applied before the first fault.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use duckworker_api::{DuckTenant, DuckWorkerPool};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::fleet::Fleet;
use super::plane::{self, Plane};
use super::sight::Sight;
use super::traffic::{CAPPED, POOLS};
use super::{NEW, Plan};
use crate::fault::SecondApiServer;
use crate::recorder::Recorder;
use crate::scenario;
use crate::tenant::tenant;
use crate::{Cluster, ClusterOptions, TestNamespace, controller_binary, install, rights};

/// How many workers the capped tenant may have.
const CAP: i64 = 2;

/// A cluster with a second API server, which faults leave alone: by it people work and we look on.
pub struct Site {
    /// The cluster.
    pub cluster: Cluster,
    second: SecondApiServer,
}

/// What lives in the namespace.
pub struct Inhabitants {
    /// Who looks on.
    pub sight: Sight,
    /// The controllers.
    pub fleet: Fleet,
    /// The foreign control plane.
    pub plane: Plane,
    /// Held for reading by whoever does everyday work.
    pub work: Arc<RwLock<()>>,
}

impl Site {
    /// Starts it, with rights, policies and definitions.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start() -> Result<Self> {
        let cluster = Cluster::start(ClusterOptions::default()).await?;
        scenario::install(&cluster).await?;
        cluster.install_config().await?;
        let second = cluster.start_second_api_server().await?;
        Ok(Self { cluster, second })
    }

    /// A client of the API server that faults leave alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn client(&self) -> Result<Client> {
        self.second.identity(self.cluster.user("admin")?)?.client()
    }

    /// Lets the product and its users move in.
    ///
    /// # Errors
    /// When the API server refuses or a program does not start.
    pub async fn inhabit(&self, ns: &TestNamespace<'_>, plan: &Plan) -> Result<Inhabitants> {
        ns.kubectl(&["create", "serviceaccount", plane::ACCOUNT]).await?.ok()?;
        rights::control_plane(ns, &format!("--serviceaccount={}:{}", ns.name, plane::ACCOUNT))
            .await?;
        // The replicas' Leases are in this namespace, too, so that they are recorded with the rest.
        let account = format!("--serviceaccount={}:{}", install::SYSTEM, install::ACCOUNT);
        let binding = ["create", "rolebinding", "controllers", "--role=leases", &account];
        ns.kubectl(&binding).await?.ok()?;
        let sight = Sight::begin(Recorder::start(&self.client()?, &ns.name).await?);

        let new = controller_binary().await?;
        let old = plan.old.as_deref().unwrap_or(new);
        let builds: [(&str, &Path, usize); 2] = [("old", old, plan.old_count), ("new", new, NEW)];
        let fleet = Fleet::start(&self.cluster, &ns.name, &plan.times, &builds).await?;
        ns.create::<DuckTenant>(tenant(CAPPED, &json!({ "maxWorkers": CAP }))).await?;
        for name in POOLS {
            ns.create::<DuckWorkerPool>(pool(name)).await?;
        }
        let work = Arc::new(RwLock::new(()));
        let plane = Plane::start(ns, plan.times.instance(), Arc::clone(&work)).await?;
        Ok(Inhabitants { sight, fleet, plane, work })
    }
}

/// One of the two pools. What is parked comes back soon, so that there is more to claim.
pub fn pool(name: &str) -> Value {
    let (replicas, max) = if name == POOLS[0] { (3, 10) } else { (1, 4) };
    let mut pool = crate::pool::pool(name, replicas, max);
    // A control plane whose Lease could not be renewed leaves a worker Reserved: its time is up soon.
    pool["spec"]["template"]["spec"]["activationTimeoutSeconds"] = json!(10);
    pool["spec"]["hotIdle"] = json!({ "ttlSeconds": 3 });
    pool["spec"]["spawn"] = json!({ "backoffSeconds": 1, "maxBackoffSeconds": 4 });
    pool["spec"]["disruption"] = json!(if name == POOLS[0] { "AllowIdle" } else { "Protect" });
    pool
}
