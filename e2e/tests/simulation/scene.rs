//! What happens in one simulation, by its seed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use duckworker_api::DuckWorker;
use duckworker_faults::Faults;
use duckworker_sim::actors::kubelet::{Life, Lives};
use duckworker_sim::{Chance, SimCluster, User};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, PostParams, PropagationPolicy};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::process::{NAMESPACE, Process};
use crate::rules;

/// How many controllers there are.
const REPLICAS: usize = 3;
/// How many things happen.
const EVENTS: usize = 60;
/// How long a controller's supervisor takes to start it again.
const RESTART: Duration = Duration::from_secs(2);
/// Within this time all is well after the faults: longer than any lease, grace or sweep.
const CALM: Duration = Duration::from_mins(20);

/// What came of it.
pub struct Outcome {
    /// How long it was, in simulated time.
    pub time: Duration,
    /// How often each transition happened.
    pub transitions: BTreeMap<String, usize>,
    /// What went wrong.
    pub violations: Vec<String>,
    /// Every change, and what the scene did, in order.
    pub story: Vec<String>,
}

/// Plays a simulation.
pub async fn play(cluster: SimCluster, seed: u64) -> Result<Outcome> {
    let start = Instant::now();
    cluster.start();
    cluster.kubelets().set_lives(hard_lives());
    let mut scene = Scene::new(cluster, seed)?;
    for _ in 0..EVENTS {
        scene.event().await?;
    }
    scene.calm().await?;
    let history = scene.cluster.history();
    let mut violations = rules::check(&history);
    violations.extend(scene.leftovers().await?);
    let mut story = rules::story(&history);
    for (number, process) in scene.processes.iter().enumerate() {
        story.push(format!("end: controller-{number} got no answer to {:?}", process.unanswered()));
    }
    story.append(&mut scene.deeds);
    story.sort();
    let transitions = rules::transitions(&history);
    Ok(Outcome { time: start.elapsed(), transitions, violations, story })
}

/// Some pods have a hard life; none of them so hard that their worker waits for ever.
fn hard_lives() -> Lives {
    Lives {
        hard: 0.3,
        menu: vec![Life::Failing, Life::Stubborn, Life::Unready],
        ..Lives::default()
    }
}

struct Scene {
    cluster: SimCluster,
    chance: Chance,
    workers: Api<DuckWorker>,
    processes: Vec<Process>,
    started: u64,
    made: usize,
    deeds: Vec<String>,
}

impl Scene {
    fn new(cluster: SimCluster, seed: u64) -> Result<Self> {
        let user = cluster.client(User::named("somebody"), &Faults::none());
        let mut scene = Self {
            chance: cluster.chance("scene"),
            workers: Api::namespaced(user, NAMESPACE),
            processes: Vec::new(),
            started: seed.wrapping_mul(1000),
            made: 0,
            deeds: Vec::new(),
            cluster,
        };
        for number in 0..REPLICAS {
            let process = scene.process(number)?;
            scene.processes.push(process);
        }
        Ok(scene)
    }

    fn tell(&mut self, deed: &str) {
        self.deeds.push(format!("{:.3} {deed}", self.cluster.now()));
    }

    fn process(&mut self, number: usize) -> Result<Process> {
        self.started += 1;
        self.tell(&format!("controller-{number} starts"));
        Process::start(&self.cluster, &format!("controller-{number}"), self.started)
    }

    async fn event(&mut self) -> Result<()> {
        tokio::time::sleep(self.chance.between((Duration::ZERO, Duration::from_secs(8)))).await;
        self.supervise().await?;
        let deed = self.chance.below(0..20);
        self.tell(&format!("event {deed}"));
        match deed {
            0..6 => self.create().await,
            6..9 => self.delete().await,
            9..12 => self.kill().await,
            12 => self.leave(),
            13..15 => self.fail_pod(),
            15 => self.cluster.compact(),
            16 => self.cluster.hold_watches("duckworkers.duckworker.dev"),
            17 => self.cluster.hold_watches("pods"),
            18 => self.cluster.free_watches(),
            _ => self.outage().await,
        }
        Ok(())
    }

    /// Starts again what ended, as a kubelet would.
    async fn supervise(&mut self) -> Result<()> {
        for number in 0..REPLICAS {
            if self.processes[number].is_over() {
                let end = self.processes[number].end().await;
                self.tell(&format!("controller-{number} is over: {end}"));
                tokio::time::sleep(RESTART).await;
                self.processes[number] = self.process(number)?;
            }
        }
        Ok(())
    }

    async fn create(&mut self) {
        self.made += 1;
        let worker: Result<DuckWorker, _> = serde_json::from_value(json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker",
            "metadata": { "name": format!("worker-{}", self.made) },
            "spec": {
                "connection": { "protocol": "None" },
                "drainTimeoutSeconds": 20,
                "startupTimeoutSeconds": 60,
                "template": { "spec": { "containers": [{ "name": "duckdb", "image": "duck:1" }] } }
            }
        }));
        if let Ok(worker) = worker {
            // Refused while the server is down: there is one worker less then.
            let _ = self.workers.create(&PostParams::default(), &worker).await;
        }
    }

    async fn delete(&mut self) {
        let Ok(list) = self.workers.list(&ListParams::default()).await else { return };
        if list.items.is_empty() {
            return;
        }
        let name = list.items[self.chance.index(list.items.len())].name_any();
        let policies = [
            PropagationPolicy::Background,
            PropagationPolicy::Foreground,
            PropagationPolicy::Orphan,
        ];
        let policy = policies[self.chance.index(policies.len())].clone();
        let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
        let _ = self.workers.delete(&name, &params).await;
    }

    async fn kill(&mut self) {
        let number = self.chance.index(REPLICAS);
        self.processes[number].kill();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn leave(&mut self) {
        let number = self.chance.index(REPLICAS);
        self.processes[number].leave();
    }

    fn fail_pod(&mut self) {
        let pods = self.cluster.objects("pods");
        if let Some(pod) = pods.get(self.chance.index(pods.len())) {
            let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
            self.cluster.kubelets().fail(&text("namespace"), &text("name"));
        }
    }

    async fn outage(&mut self) {
        self.cluster.set_down(true);
        let time = self.chance.between((Duration::from_millis(100), Duration::from_secs(40)));
        tokio::time::sleep(time).await;
        self.cluster.set_down(false);
    }

    /// The faults stop; controllers that end are started again.
    async fn calm(&mut self) -> Result<()> {
        self.cluster.free_watches();
        let end = Instant::now() + CALM;
        while Instant::now() < end {
            self.supervise().await?;
            self.processes.iter().for_each(Process::heal);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        Ok(())
    }

    /// What should not be there in the end.
    async fn leftovers(&self) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        let workers = self.workers.list(&ListParams::default()).await?.items;
        let mut expected = Vec::new();
        for worker in &workers {
            let state = worker.status.as_ref().map(|status| status.state.clone());
            let state = state.unwrap_or_default();
            let name = worker.name_any();
            if worker.metadata.deletion_timestamp.is_some() {
                wrong.push(format!("{name} is {state} and never goes"));
            } else if state == "Idle" {
                expected.push(name);
            } else if !matches!(state.as_str(), "Retired" | "Lost") {
                wrong.push(format!("{name} stays {state}"));
            }
        }
        for (collection, suffix) in [("pods", ""), ("secrets", "-rpc")] {
            let mut found: Vec<String> =
                self.cluster.objects(collection).iter().map(name).collect();
            let mut wanted: Vec<String> =
                expected.iter().map(|worker| format!("{worker}{suffix}")).collect();
            found.sort();
            wanted.sort();
            if found != wanted {
                wrong.push(format!("{collection} are {found:?}, should be {wanted:?}"));
            }
        }
        Ok(wrong)
    }
}

fn name(object: &std::sync::Arc<Value>) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}
