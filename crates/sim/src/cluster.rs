//! A cluster to simulate in.

use std::sync::Arc;

use duckworker_faults::{FaultService, Faults};
use http::Request;
use jiff::Timestamp;
use kube::Client;
use kube::client::{Body, ClientBuilder};
use serde_json::{Value, json};
use tower::{Layer, Service};

use crate::actors;
use crate::actors::kubelet::Kubelets;
use crate::chance::Chance;
use crate::core::{Core, Latency, Stuck};
use crate::kinds::Kinds;
use crate::service::SimService;
use crate::store::Version;
use crate::user::User;
use crate::verbs::{Server, Target};

/// A user's way to the server, with faults on it.
pub type FaultyService = FaultService<<SimService as Service<Request<Body>>>::Future>;

/// An API server in memory, with or without controllers and kubelets behind it. Clones share it.
///
/// It must live in a single-threaded tokio runtime with a paused clock; [`simulate`] makes one.
#[derive(Debug, Clone)]
pub struct SimCluster {
    core: Arc<Core>,
    kubelets: Kubelets,
    seed: u64,
}

impl SimCluster {
    /// A cluster with our CRDs, the namespace `default`, three nodes, and the usual delays.
    pub fn new(seed: u64) -> Self {
        Self::with(Kinds::duckworker(), seed, Latency::default())
    }

    /// A cluster with other kinds or delays.
    pub fn with(kinds: Arc<Kinds>, seed: u64, latency: Latency) -> Self {
        let core = Arc::new(Core::new(kinds, seed, latency));
        let kubelets = Kubelets::new(Arc::clone(&core), Chance::new(seed, "kubelets"));
        let cluster = Self { core, kubelets, seed };
        cluster.create_namespace("default");
        for number in 1..=3 {
            cluster.create_node(&format!("node-{number}"));
        }
        cluster
    }

    /// Starts what a cluster has beside its API server: garbage collector, namespace controller,
    /// scheduler and kubelets. Must be called at most once.
    pub fn start(&self) {
        let chance = |name| Chance::new(self.seed, name);
        tokio::spawn(actors::collector::run(Arc::clone(&self.core), chance("collector")));
        tokio::spawn(actors::namespaces::run(Arc::clone(&self.core), chance("namespaces")));
        tokio::spawn(self.kubelets.clone().run());
    }

    /// The way of this user to the server, over a network with these faults: what a client of any
    /// make is put upon.
    pub fn service(&self, user: User, faults: &Faults) -> FaultyService {
        faults.layer().layer(SimService::new(Arc::clone(&self.core), Arc::new(user)))
    }

    /// A client of this user, over a network with these faults.
    pub fn client(&self, user: User, faults: &Faults) -> Client {
        Client::new(self.service(user, faults), "default")
    }

    /// A client of an administrator, over a network without faults.
    pub fn admin(&self) -> Client {
        let mut user = User::named("admin");
        user.groups.push("system:masters".to_owned());
        let service = SimService::new(Arc::clone(&self.core), Arc::new(user));
        ClientBuilder::new(service, "default").build()
    }

    /// The kubelets: what becomes of pods.
    pub const fn kubelets(&self) -> &Kubelets {
        &self.kubelets
    }

    /// A stream of chance of its own.
    pub fn chance(&self, name: &str) -> Chance {
        Chance::new(self.seed, name)
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        self.core.step(|server| server.clock.now())
    }

    /// Every version of every object so far, in order.
    pub fn history(&self) -> Vec<Arc<Version>> {
        self.core.step(|server| server.store.since(0).to_vec())
    }

    /// The newest revision.
    pub fn revision(&self) -> u64 {
        self.core.step(|server| server.store.revision())
    }

    /// The objects of a collection, `pods` or `duckworkers.duckworker.dev`, as they are stored.
    pub fn objects(&self, collection: &str) -> Vec<Arc<Value>> {
        let all = self.core.step(|server| server.store.list(collection, None));
        all.into_iter().map(|(_, object)| object).collect()
    }

    /// Forgets old versions: watches and pages that are behind are told 410.
    pub fn compact(&self) {
        self.core.step(|server| server.store.compact());
        // Wakes the watches, which would only notice at their next event.
        self.core.moved.send_modify(|_| {});
    }

    /// From now on nobody reaches the API server, and watches break; or everybody does again.
    pub fn set_down(&self, down: bool) {
        self.core.down.send_replace(down);
    }

    /// Lets the watches of a collection fall behind, until [`SimCluster::free_watches`].
    pub fn hold_watches(&self, collection: &str) {
        self.hold(collection, None);
    }

    /// The same of those of one pod: its caches lag behind those of its peers.
    pub fn hold_watches_of(&self, pod: &str, collection: &str) {
        self.hold(collection, Some(pod.to_owned()));
    }

    fn hold(&self, collection: &str, pod: Option<String>) {
        self.core.stuck.send_modify(|stuck| {
            stuck.insert(Stuck { collection: collection.to_owned(), pod });
        });
    }

    /// Lets all watches catch up.
    pub fn free_watches(&self) {
        self.core.stuck.send_modify(std::collections::BTreeSet::clear);
    }

    /// Changes the delays of the network.
    pub fn set_latency(&self, latency: Latency) {
        self.core.set_latency(latency);
    }

    /// Makes a namespace; one that is there is left as it is.
    pub fn create_namespace(&self, name: &str) {
        self.make("namespaces", json!({ "metadata": { "name": name } }));
    }

    /// Makes a node; one that is there is left as it is.
    pub fn create_node(&self, name: &str) {
        self.make("nodes", json!({ "metadata": { "name": name }, "spec": {} }));
    }

    fn make(&self, plural: &str, mut object: Value) {
        self.core.step(|server: &mut Server| {
            let Some(kind) = server.kinds.get("", plural).cloned() else {
                return;
            };
            object["kind"] = kind.kind.clone().into();
            object["apiVersion"] = kind.api_version().into();
            let key = (String::new(), String::new());
            let target = Target { kind, key, by: "admin".into() };
            // The only refusal is that it is there already.
            drop(server.create(&target, object));
        });
    }
}

/// Runs a simulation to its end: one thread, a paused clock, one seed.
///
/// # Errors
/// When the runtime cannot be made.
pub fn simulate<F, T>(seed: u64, scene: impl FnOnce(SimCluster) -> F) -> std::io::Result<T>
where
    F: Future<Output = T>,
{
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(async { scene(SimCluster::new(seed)).await }))
}
