//! What can happen in a scene, and how often.

use std::time::Duration;

use anyhow::Result;
use duckworker_api::labels::{UID_ENV, UID_KEY, WORKER_NAME, WORKER_UID};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, PostParams};
use serde_json::json;

use super::{REPLICAS, Scene};
use crate::process::NAMESPACE;

const WORKERS: &str = "duckworkers.duckworker.dev";
const PODS: &str = "pods";
const SECRETS: &str = "secrets";
const LEASES: &str = "leases.coordination.k8s.io";
/// What one process's caches may lag behind in.
const LAGGING: [&str; 5] = [WORKERS, PODS, SECRETS, LEASES, "ducktenants.duckworker.dev"];
/// Longer than a Lease and the grace of orphans together.
const BLIND: Duration = Duration::from_secs(80);

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    WorkerCreated,
    WorkerDeleted,
    WorkerSucceeded,
    StartCutShort,
    PodMadeLate,
    PodFails,
    StrayLeft,
    PodTaken,
    SecretTaken,
    NodeCordoned,
    ProcessKilled,
    ProcessLeaves,
    ProcessCutOff,
    ServerDown,
    HistoryCompacted,
    WorkersHeldBack,
    PodsHeldBack,
    SecretsHeldBack,
    OneLagsBehind,
    AdopterBlind,
    WatchesFreed,
    PoolApplied,
    PoolDeleted,
    Claimed,
    ClaimGivenBack,
    TenantApplied,
    TenantDeleted,
}

/// How often each happens, against the others.
type Weights = &'static [(Event, u64)];

/// In every seed.
const ALWAYS: Weights = &[
    (Event::WorkerCreated, 6),
    (Event::WorkerDeleted, 3),
    (Event::ProcessKilled, 3),
    (Event::ProcessLeaves, 2),
    (Event::PodFails, 2),
    (Event::HistoryCompacted, 1),
    (Event::WorkersHeldBack, 1),
    (Event::PodsHeldBack, 1),
    (Event::SecretsHeldBack, 1),
    (Event::OneLagsBehind, 2),
    (Event::AdopterBlind, 1),
    (Event::WatchesFreed, 2),
    (Event::ProcessCutOff, 1),
    (Event::NodeCordoned, 1),
    (Event::StrayLeft, 1),
    (Event::PodTaken, 1),
    (Event::SecretTaken, 1),
    (Event::WorkerSucceeded, 2),
    (Event::StartCutShort, 1),
    (Event::PodMadeLate, 1),
    (Event::ServerDown, 1),
];

/// In every second seed, beside those.
const WITH_POOLS: Weights = &[
    (Event::PoolApplied, 3),
    (Event::PoolDeleted, 1),
    (Event::Claimed, 4),
    (Event::ClaimGivenBack, 2),
    (Event::TenantApplied, 3),
    (Event::TenantDeleted, 1),
];

impl Scene {
    /// Waits a while, then lets something happen.
    pub(super) async fn event(&mut self) -> Result<()> {
        tokio::time::sleep(self.chance.between((Duration::ZERO, Duration::from_secs(8)))).await;
        self.supervise().await?;
        let event = self.choose();
        self.tell(&format!("event {event:?}"));
        match event {
            Event::WorkerCreated => self.create().await,
            Event::WorkerDeleted => self.delete().await,
            Event::WorkerSucceeded => self.succeed().await,
            Event::StartCutShort => self.die_in_a_start().await,
            Event::PodMadeLate => self.make_late().await,
            Event::PodFails => self.fail_pod(),
            Event::StrayLeft => self.leave_strays().await,
            Event::PodTaken => self.take_pod().await,
            Event::SecretTaken => self.take_secret().await,
            Event::NodeCordoned => self.cordon().await,
            Event::ProcessKilled => self.kill().await,
            Event::ProcessLeaves => self.leave(),
            Event::ProcessCutOff => self.cut_off(),
            Event::ServerDown => self.outage().await,
            Event::HistoryCompacted => self.cluster.compact(),
            Event::WorkersHeldBack => self.cluster.hold_watches(WORKERS),
            Event::PodsHeldBack => self.cluster.hold_watches(PODS),
            Event::SecretsHeldBack => self.cluster.hold_watches(SECRETS),
            Event::OneLagsBehind => self.lag(),
            Event::AdopterBlind => self.blind_adopter().await,
            Event::WatchesFreed => self.cluster.free_watches(),
            Event::PoolApplied => self.apply_pool().await,
            Event::PoolDeleted => self.delete_pool().await,
            Event::Claimed => self.claim().await,
            Event::ClaimGivenBack => self.give_back().await,
            Event::TenantApplied => self.apply_tenant().await,
            Event::TenantDeleted => self.delete_tenant().await,
        }
        Ok(())
    }

    /// One process's caches of one kind stand still, until all watches are freed.
    fn lag(&mut self) {
        let pod = super::name_of(self.chance.index(self.processes.len()));
        let collection = LAGGING[self.chance.index(LAGGING.len())];
        self.tell(&format!("{pod} lags behind in {collection}"));
        self.cluster.hold_watches_of(&pod, collection);
    }

    /// A controller dies, and of its peers one does not hear of it for longer than orphans are given:
    /// the workers whose turn is its wait, and the others may not end them.
    async fn blind_adopter(&mut self) {
        let dead = self.chance.index(REPLICAS);
        let blind = (dead + 1 + self.chance.index(REPLICAS - 1)) % REPLICAS;
        self.cluster.hold_watches_of(&super::name_of(blind), LEASES);
        self.processes[dead].kill();
        tokio::time::sleep(BLIND).await;
        self.cluster.free_watches();
    }

    /// What a deletion that orphans leaves, or a backup that was played back: a pod and a secret of a
    /// worker that is not there.
    async fn leave_strays(&mut self) {
        self.made += 1;
        let (name, uid) = (format!("stray-{}", self.made), self.cluster.chance("stray").uid());
        let labels = json!({ WORKER_NAME: name, WORKER_UID: uid });
        let pod = json!({
            "metadata": { "name": name, "labels": labels },
            "spec": { "containers": [{ "name": "duckdb", "image": "duck:1",
                "env": [{ "name": UID_ENV, "value": uid }] }] },
        });
        let secret = json!({
            "metadata": { "name": format!("{name}-rpc"), "labels": labels },
            "immutable": true,
            "stringData": { UID_KEY: uid },
        });
        let client = self.workers.clone().into_client();
        // Refused while the server is down: nothing is left then.
        if let (Ok(pod), Ok(secret)) = (serde_json::from_value(pod), serde_json::from_value(secret))
        {
            let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
            let secrets: Api<Secret> = Api::namespaced(client, NAMESPACE);
            let _ = pods.create(&PostParams::default(), &pod).await;
            let _ = secrets.create(&PostParams::default(), &secret).await;
        }
    }

    fn choose(&mut self) -> Event {
        let more: Weights = if self.seed.is_multiple_of(2) { WITH_POOLS } else { &[] };
        let table = || ALWAYS.iter().chain(more);
        let mut left = self.chance.below(0..table().map(|(_, weight)| weight).sum());
        for &(event, weight) in table() {
            if left < weight {
                return event;
            }
            left -= weight;
        }
        unreachable!("it is less than all weights together")
    }
}
