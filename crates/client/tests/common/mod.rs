//! Control planes on the simulated API server, and workers that do as a test says.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "support of tests")]

pub mod workers;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use duckworker_api::{DuckWorker, labels, samples};
use duckworker_client::{
    Children, Connection, Error, Instance, InstanceSettings, Origin, Outcome, Role, WorkerLease,
    WorkerLifecycle, WorkerSnapshot, WorkerStore,
};
use duckworker_core::worker::PodRef;
use duckworker_core::{Note, Tenant, Uid};
use duckworker_faults::{Call, Faults};
use duckworker_sim::{SimCluster, User};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tokio::task::JoinHandle;

pub const NAMESPACE: &str = "default";

/// A registered instance.
pub struct Plane {
    pub lifecycle: WorkerLifecycle,
    pub connection: Connection,
    pub faults: Faults,
    admin: kube::Client,
    heartbeat: JoinHandle<()>,
}

impl Plane {
    pub async fn register(cluster: &SimCluster, name: &str) -> Result<Self> {
        Self::register_with(cluster, name, InstanceSettings::default()).await
    }

    pub async fn register_with(
        cluster: &SimCluster,
        name: &str,
        settings: InstanceSettings,
    ) -> Result<Self> {
        let faults = Faults::none();
        let uid = cluster.chance(name).uid();
        let user = User::in_pod(NAMESPACE, "control-plane", name, &uid);
        let connection = Connection::over(cluster.service(user, &faults), NAMESPACE);
        let (instance, heartbeat) =
            Instance::register(&connection, NAMESPACE, Role::ControlPlane, settings).await?;
        let lifecycle = WorkerLifecycle::new(WorkerStore::new(connection.clone()), instance);
        let heartbeat = tokio::spawn(heartbeat.run());
        Ok(Self { lifecycle, connection, faults, admin: cluster.admin(), heartbeat })
    }

    /// Its faults, which hit only these calls from now on.
    pub fn counts(&self, counts: impl Fn(&Call) -> bool + Send + 'static) -> Faults {
        self.faults.clone().counting(counts)
    }

    pub fn now(&self) -> Timestamp {
        self.connection.clock.now()
    }

    /// So many seconds from now.
    pub fn in_seconds(&self, seconds: i64) -> Timestamp {
        self.now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    pub async fn see(&self, name: &str) -> Result<WorkerSnapshot> {
        let seen = self.lifecycle.store().observe(NAMESPACE, name).await?;
        seen.with_context(|| format!("there is no worker {name}"))
    }

    pub async fn lease(&self, name: &str) -> Result<WorkerLease> {
        let uid = self.see(name).await?.key().uid.clone();
        self.lifecycle.lease(&uid).await?.context("nothing is held")
    }

    pub async fn idle(&self, name: &str) -> Result<WorkerSnapshot> {
        let mut object = samples::plain_worker();
        object.metadata.name = Some(name.to_owned());
        let api: Api<DuckWorker> = Api::namespaced(self.admin.clone(), NAMESPACE);
        api.create(&PostParams::default(), &object).await?;
        let lease = won(self.lifecycle.adopt_new(&self.see(name).await?).await)?;
        won(self.lifecycle.ready(&lease, Note::default()).await)
    }

    /// An idle worker with a pod and a secret, as a controller makes them.
    pub async fn with_pod(&self, name: &str) -> Result<WorkerSnapshot> {
        let mut object = samples::plain_worker();
        object.metadata.name = Some(name.to_owned());
        let api: Api<DuckWorker> = Api::namespaced(self.admin.clone(), NAMESPACE);
        api.create(&PostParams::default(), &object).await?;
        let lease = won(self.lifecycle.adopt_new(&self.see(name).await?).await)?;
        let children = Children::new(self.lifecycle.clone());
        let uid = lease.key().uid.as_str();
        let marks = json!({ labels::WORKER_NAME: name, labels::WORKER_UID: uid });
        let secret = json!({
            "metadata": { "name": format!("{name}-rpc"), "labels": marks },
            "immutable": true,
            "data": { labels::UID_KEY: BASE64.encode(uid) },
        });
        children.create_secret(&lease, &serde_json::from_value(secret)?).await?;
        let env = json!([{ "name": labels::UID_ENV, "value": uid }]);
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "labels": marks },
            "spec": { "containers": [{ "name": "duckdb", "image": "i", "env": env }] },
        });
        let pod = children.create_pod(&lease, &pod).await?;
        let uid = Uid::new(pod.metadata.uid.context("a uid")?)?;
        let note = Note {
            pod: Some(PodRef { name: name.to_owned(), uid, ip: None }),
            secret_name: Some(format!("{name}-rpc")),
            ..Note::default()
        };
        won(self.lifecycle.ready(&lease, note).await)
    }

    pub async fn reserved(&self, name: &str, tenant: &str) -> Result<WorkerLease> {
        let idle = self.idle(name).await?;
        let tenant = Tenant::new(tenant)?;
        won(self.lifecycle.claim_idle(&idle, tenant, None, Origin::Library).await)
    }

    pub async fn hot(
        &self,
        name: &str,
        tenant: &str,
        expire_at: Option<Timestamp>,
    ) -> Result<WorkerLease> {
        let lease = self.reserved(name, tenant).await?;
        won(self.lifecycle.activate(&lease).await)?;
        won(self.lifecycle.activated(&lease, expire_at).await)?;
        Ok(lease)
    }

    pub async fn parked(
        &self,
        name: &str,
        tenant: &str,
        expire_at: Option<Timestamp>,
    ) -> Result<WorkerSnapshot> {
        let lease = self.hot(name, tenant, expire_at).await?;
        won(self.lifecycle.release(&lease, Origin::Library).await)
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

/// What a transition handed out.
pub fn won<T>(outcome: Result<Outcome<T>, Error>) -> Result<T> {
    match outcome? {
        Outcome::Transitioned(value) => Ok(value),
        Outcome::Missed(miss) => bail!("missed: {miss}"),
    }
}

/// Runs a scene on a simulated cluster with a paused clock.
pub fn scene<F, T>(play: impl FnOnce(SimCluster) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    duckworker_sim::simulate(7, play)?
}
