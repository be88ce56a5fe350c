//! A program that uses the client library, as a control plane would: for tests that look at single
//! writes and at what becomes of their answers. No pods and no controller.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use duckworker_api::DuckWorker;
use duckworker_client::{
    Connection, Error, Instance, InstanceSettings, Origin, Outcome, Role, WorkerLease,
    WorkerLifecycle, WorkerSnapshot, WorkerStore,
};
use duckworker_core::{Note, Tenant};
use duckworker_faults::choose::Script;
use duckworker_faults::{Call, Fault, Faults, Verb};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::task::JoinHandle;

use crate::namespace::TestNamespace;
use crate::worker;

/// The tenant that planes claim for.
pub const TENANT: &str = "acme";

/// One registered instance, with faults under its status writes.
pub struct Plane {
    /// Its transitions.
    pub lifecycle: WorkerLifecycle,
    /// The faults: they count its status writes.
    pub faults: Faults,
    namespace: String,
    /// Makes workers. Its connections are its own: an outage before it broke those of others.
    user: Client,
    heartbeat: JoinHandle<()>,
}

impl Plane {
    /// Registers an instance in the namespace of a test. Its calls get this deadline.
    pub async fn register(ns: &TestNamespace<'_>, deadline: Duration) -> Result<Self> {
        let worker_writes = |call: &Call| call.is(Verb::Update, "duckworkers/status");
        Self::registered_counting(ns, deadline, worker_writes).await
    }

    /// The same with faults under other calls.
    pub async fn registered_counting(
        ns: &TestNamespace<'_>,
        deadline: Duration,
        counts: impl Fn(&Call) -> bool + Send + Sync + 'static,
    ) -> Result<Self> {
        let faults = Faults::none().counting(counts);
        let connection = Connection::with_layer(ns.cluster.config()?, &faults.layer())?;
        let settings = InstanceSettings::default();
        let (instance, heartbeat) =
            Instance::register(&connection, &ns.name, Role::ControlPlane, settings).await?;
        let store = WorkerStore::new(connection).with_deadline(deadline);
        Ok(Self {
            lifecycle: WorkerLifecycle::new(store, instance),
            faults,
            namespace: ns.name.clone(),
            user: ns.cluster.client()?,
            heartbeat: tokio::spawn(heartbeat.run()),
        })
    }

    /// Its next status writes suffer these, one each; all others go through.
    pub fn suffers(&self, faults: impl IntoIterator<Item = Fault>) {
        let next = self.faults.counted() + 1;
        self.faults.choose(Script::new((next..).zip(faults)));
    }

    /// A worker as it is now.
    pub async fn see(&self, name: &str) -> Result<WorkerSnapshot> {
        let seen = self.lifecycle.store().observe(&self.namespace, name).await?;
        seen.with_context(|| format!("there is no worker {name}"))
    }

    /// Makes a worker and takes it to Idle: two writes, epoch 1.
    pub async fn idle(&self, name: &str) -> Result<WorkerSnapshot> {
        let object: DuckWorker = serde_json::from_value(worker::plain(name))?;
        let api: Api<DuckWorker> = Api::namespaced(self.user.clone(), &self.namespace);
        api.create(&PostParams::default(), &object).await?;
        let lease = won(self.lifecycle.adopt_new(&self.see(name).await?).await)?;
        won(self.lifecycle.ready(&lease, Note::default()).await)
    }

    /// Claims an idle worker for [`TENANT`].
    pub async fn claim(&self, seen: &WorkerSnapshot) -> Result<Outcome<WorkerLease>, Error> {
        // A constant that is a tenant.
        let Ok(tenant) = Tenant::new(TENANT) else { unreachable!() };
        self.lifecycle.claim_idle(seen, tenant, None, Origin::Claim).await
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

/// What a transition handed out; an error if it missed.
pub fn won<T>(outcome: Result<Outcome<T>, Error>) -> Result<T> {
    match outcome? {
        Outcome::Transitioned(value) => Ok(value),
        Outcome::Missed(miss) => bail!("missed: {miss}"),
    }
}
