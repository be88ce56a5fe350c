//! What happens in one simulation, by its seed.

mod events;
mod pools;
mod starts;
mod tenants;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use duckworker_api::DuckWorker;
use duckworker_faults::Faults;
use duckworker_history::{Calm, Checker, Settings};
use duckworker_sim::actors::kubelet::{Life, Lives};
use duckworker_sim::{Chance, SimCluster, User, Version, record};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::child::Outcome;
use crate::operations::Operations;
use crate::process::{NAMESPACE, Process};
use crate::tale;

/// How many controllers there are.
const REPLICAS: usize = 3;
/// How many control planes there are.
const PLANES: usize = 3;
/// How many things happen, unless the order says otherwise.
pub const EVENTS: u64 = 60;
/// How long a controller's supervisor takes to start it again.
const RESTART: Duration = Duration::from_secs(2);
/// Within this time all is well after the faults: longer than any lease, grace or sweep.
const CALM: Duration = Duration::from_mins(20);
/// Within this time everybody has heard that the control planes are dead.
const LAST_MARKS: Duration = Duration::from_mins(1);
/// For so long after that calls still go wrong.
const LAST_ERRORS: Duration = Duration::from_secs(20);
/// For this last part of it nothing is written any more.
const QUIET: SignedDuration = SignedDuration::from_mins(5);

/// Plays a simulation.
pub async fn play(cluster: SimCluster, seed: u64, events: u64) -> Result<Outcome> {
    let start = Instant::now();
    cluster.start();
    cluster.kubelets().set_lives(hard_lives());
    let mut scene = Scene::new(cluster, seed)?;
    for _ in 0..events {
        scene.event().await?;
    }
    scene.calm().await?;
    let history = scene.cluster.history();
    let mut violations = scene.check(&history)?;
    violations.extend(scene.leftovers().await?);
    let mut story = tale::story(&history);
    for (number, process) in scene.processes.iter().enumerate() {
        story.push(format!("end: {} got no answer to {:?}", name_of(number), process.unanswered()));
    }
    story.append(&mut scene.deeds);
    story.sort();
    Ok(Outcome {
        seconds: start.elapsed().as_secs_f64(),
        transitions: tale::transitions(&history),
        served: tale::served(&history),
        seats: tale::seats(&history),
        entered: tale::entered(&history),
        violations,
        story,
        digest: tale::digest(&history),
    })
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
    /// First the controllers, then the control planes while there are any.
    processes: Vec<Process>,
    operations: Operations,
    /// Writes of processes that are over.
    refused: Vec<String>,
    seed: u64,
    started: u64,
    made: u64,
    deeds: Vec<String>,
}

impl Scene {
    fn new(cluster: SimCluster, seed: u64) -> Result<Self> {
        let user = cluster.client(User::named("somebody"), &Faults::none());
        let mut scene = Self {
            chance: cluster.chance("scene"),
            workers: Api::namespaced(user, NAMESPACE),
            processes: Vec::new(),
            operations: Operations::default(),
            refused: Vec::new(),
            seed,
            started: seed.wrapping_mul(1000),
            made: 0,
            deeds: Vec::new(),
            cluster,
        };
        for number in 0..REPLICAS + PLANES {
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
        let pod = name_of(number);
        self.tell(&format!("{pod} starts"));
        if number < REPLICAS {
            return Process::start(&self.cluster, &pod, self.started, &self.operations);
        }
        Ok(Process::start_plane(&self.cluster, &pod, self.started, &self.operations))
    }

    /// Starts again what ended, as a kubelet would.
    async fn supervise(&mut self) -> Result<()> {
        for number in 0..self.processes.len() {
            if self.processes[number].is_over() {
                let end = self.processes[number].end().await;
                self.tell(&format!("{} is over: {end}", name_of(number)));
                self.refused.extend(self.processes[number].refused());
                tokio::time::sleep(RESTART).await;
                self.processes[number] = self.process(number)?;
            }
        }
        Ok(())
    }

    async fn create(&mut self) {
        // Names come back: a namesake of one that is there is refused.
        let earlier = self.chance.below(0..self.made.max(1)) + 1;
        let again = self.chance.strikes(0.4);
        self.made += u64::from(!again);
        let number = if again { earlier } else { self.made };
        self.create_named(number).await;
        if self.chance.strikes(0.2) {
            // In the middle of its start somebody dies.
            let time = self.chance.between((Duration::ZERO, Duration::from_millis(40)));
            tokio::time::sleep(time).await;
            let number = self.chance.index(REPLICAS);
            self.processes[number].kill();
        }
    }

    async fn create_named(&mut self, number: u64) {
        let tenant = self.chance.strikes(0.25).then_some("t0");
        let worker: Result<DuckWorker, _> = serde_json::from_value(json!({
            "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker",
            "metadata": { "name": format!("worker-{number}") },
            "spec": {
                "tenant": tenant,
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
        let number = self.chance.index(self.processes.len());
        self.processes[number].kill();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// One process loses its network for as long as a Lease lasts, or not quite.
    fn cut_off(&mut self) {
        let number = self.chance.index(self.processes.len());
        let time = self.chance.between((Duration::from_secs(5), Duration::from_secs(40)));
        self.started += 1;
        self.processes[number].cut_off(time, self.started);
    }

    /// Somebody empties a node, or opens it again.
    async fn cordon(&mut self) {
        let nodes: Api<Node> = Api::all(self.cluster.admin());
        let name = format!("node-{}", self.chance.below(1..4));
        let closed = self.chance.strikes(0.3);
        let patch = Patch::Merge(json!({ "spec": { "unschedulable": closed } }));
        let _ = nodes.patch(&name, &PatchParams::default(), &patch).await;
    }

    /// Somebody removes a pod behind our back.
    async fn take_pod(&mut self) {
        let pods: Api<Pod> = Api::namespaced(self.cluster.admin(), NAMESPACE);
        let all = self.cluster.objects("pods");
        if let Some(pod) = all.get(self.chance.index(all.len())) {
            let grace = DeleteParams::default().grace_period(0);
            let _ = pods.delete(&name(pod), &grace).await;
        }
    }

    /// Somebody removes a secret behind our back.
    async fn take_secret(&mut self) {
        let secrets: Api<Secret> = Api::namespaced(self.cluster.admin(), NAMESPACE);
        let all = self.cluster.objects("secrets");
        if let Some(secret) = all.get(self.chance.index(all.len())) {
            let _ = secrets.delete(&name(secret), &DeleteParams::default()).await;
        }
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

    /// The faults stop; controllers that end are started again, control planes are gone for good.
    async fn calm(&mut self) -> Result<()> {
        self.cluster.free_watches();
        let nodes: Api<Node> = Api::all(self.cluster.admin());
        for number in 1..=3 {
            let open = Patch::Merge(json!({ "spec": { "unschedulable": false } }));
            nodes.patch(&format!("node-{number}"), &PatchParams::default(), &open).await?;
        }
        for plane in self.processes.split_off(REPLICAS) {
            plane.kill();
            self.refused.extend(plane.refused());
        }
        // Once the planes' Leases are marked, nothing but an error itself brings anybody back to it.
        self.pass(LAST_MARKS, |_| {}).await?;
        self.fail_last_deletions().await;
        self.pass(LAST_ERRORS, |_| {}).await?;
        self.pass(CALM, Process::heal).await
    }

    /// Time passes, whoever ends is started again, and this is done to all.
    async fn pass(&mut self, time: Duration, each: impl Fn(&Process)) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.supervise().await?;
            self.processes.iter().for_each(&each);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        Ok(())
    }

    /// Past all rules; recorded, if somebody wants it.
    fn check(&self, versions: &[Arc<Version>]) -> Result<Vec<String>> {
        let mut lines = record::lines(versions);
        lines.extend(self.operations.lines());
        let end = self.cluster.now();
        let calm = Calm { quiet_since: end.checked_sub(QUIET)?, end };
        let settings = Settings { calm: Some(calm), ..Settings::default() };
        let violations = Checker::check(settings, &lines);
        if let Some(folder) = std::env::var_os("DUCKWORKER_SIM_RECORD") {
            let text: Result<Vec<String>, _> = lines.iter().map(serde_json::to_string).collect();
            let name = format!("history-{}.jsonl", self.seed);
            std::fs::write(Path::new(&folder).join(name), text?.join("\n"))?;
        }
        let mut text: Vec<String> = violations.iter().map(ToString::to_string).collect();
        text.extend(self.refused.iter().cloned());
        text.extend(self.processes.iter().flat_map(Process::refused));
        Ok(text)
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
                wrong.push(format!("END: {name} is {state} and never goes"));
            } else if matches!(state.as_str(), "Idle" | "Hot" | "HotIdle") {
                expected.push(name);
            } else if !matches!(state.as_str(), "Retired" | "Lost") {
                wrong.push(format!("END: {name} stays {state}"));
            }
        }
        for (collection, suffix) in [("pods", ""), ("secrets", "-rpc")] {
            let objects = self.cluster.objects(collection);
            // A claim's secret goes with the claim.
            let ours = objects.iter().map(name).filter(|name| !name.ends_with("-conn"));
            let mut found: Vec<String> = ours.collect();
            let mut wanted: Vec<String> =
                expected.iter().map(|worker| format!("{worker}{suffix}")).collect();
            found.sort();
            wanted.sort();
            if found != wanted {
                wrong.push(format!("END: {collection} are {found:?}, should be {wanted:?}"));
            }
        }
        Ok(wrong)
    }
}

fn name_of(process: usize) -> String {
    if process < REPLICAS {
        format!("controller-{process}")
    } else {
        format!("plane-{}", process - REPLICAS)
    }
}

fn name(object: &Arc<Value>) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}
