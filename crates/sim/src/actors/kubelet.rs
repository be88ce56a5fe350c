//! Scheduler and kubelets: pods get a node, an address, become ready, stop, or fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::target;
use crate::chance::Chance;
use crate::core::Core;
use crate::meta;
use crate::store::Key;
use crate::verbs::{DeleteOptions, Server};

/// On a pod: how its life is to go; one of [`Life`]'s names, in lower case.
pub const LIFE: &str = "sim.duckworker.dev/life";

/// How the life of a pod goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs, becomes ready and stops when it is told to.
    Good,
    /// No node has room for it.
    Unschedulable,
    /// Its image cannot be pulled.
    Imageless,
    /// It runs and never becomes ready.
    Unready,
    /// It runs, and fails a while later.
    Failing,
    /// It takes all the grace it has to stop.
    Stubborn,
}

impl Life {
    const ALL: [(&'static str, Self); 6] = [
        ("good", Self::Good),
        ("unschedulable", Self::Unschedulable),
        ("imageless", Self::Imageless),
        ("unready", Self::Unready),
        ("failing", Self::Failing),
        ("stubborn", Self::Stubborn),
    ];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, life)| *life)
    }
}

/// How long the parts of a life take, each between two durations, and how the lives are dealt.
#[derive(Debug, Clone)]
pub struct Lives {
    /// Until it has a node.
    pub schedule: (Duration, Duration),
    /// Until it is ready.
    pub start: (Duration, Duration),
    /// Until it is gone when it is told to stop, if its grace is not shorter.
    pub stop: (Duration, Duration),
    /// Until a failing one fails.
    pub fail: (Duration, Duration),
    /// How probable it is that a pod without the annotation [`LIFE`] leads one of the hard lives.
    pub hard: f64,
    /// Which those are.
    pub menu: Vec<Life>,
}

impl Default for Lives {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            schedule: (Duration::from_millis(5), Duration::from_millis(50)),
            start: (Duration::from_millis(200), seconds(3)),
            stop: (Duration::from_millis(50), seconds(2)),
            fail: (seconds(1), seconds(60)),
            hard: 0.0,
            menu: Vec::new(),
        }
    }
}

/// All kubelets and the scheduler. Clones share everything.
#[derive(Debug, Clone)]
pub struct Kubelets {
    core: Arc<Core>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    chance: Chance,
    lives: Lives,
    /// Nodes whose kubelet is silent.
    silent: BTreeSet<String>,
    /// The pods that a task looks after, by uid.
    known: BTreeMap<String, Key>,
    addresses: u32,
}

const SCHEDULER: &str = "system:kube-scheduler";
const KUBELET: &str = "system:node";
/// How often a kubelet looks whether its pod was told to stop.
const LOOK: Duration = Duration::from_millis(10);

impl Kubelets {
    pub(crate) fn new(core: Arc<Core>, chance: Chance) -> Self {
        let shared = Shared {
            chance,
            lives: Lives::default(),
            silent: BTreeSet::new(),
            known: BTreeMap::new(),
            addresses: 0,
        };
        Self { core, shared: Arc::new(Mutex::new(shared)) }
    }

    /// Changes how lives go, for pods from now on.
    pub fn set_lives(&self, lives: Lives) {
        self.lock().lives = lives;
    }

    /// A node's kubelet falls silent: its pods run on unseen, and nobody stops them.
    pub fn silence(&self, node: &str) {
        self.lock().silent.insert(node.to_owned());
    }

    /// It speaks again.
    pub fn revive(&self, node: &str) {
        self.lock().silent.remove(node);
    }

    /// The containers of a running pod die.
    pub fn fail(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.core.step(|server| change_status(server, &key, None, failed));
    }

    pub(crate) async fn run(self) {
        let mut moved = self.core.moved.subscribe();
        loop {
            moved.mark_unchanged();
            for (key, uid) in self.newcomers() {
                tokio::spawn(self.clone().live(key, uid));
            }
            if moved.changed().await.is_err() {
                return;
            }
        }
    }

    fn newcomers(&self) -> Vec<(Key, String)> {
        let pods = self.core.step(|server| server.store.list("pods", None));
        let mut shared = self.lock();
        let mut new = Vec::new();
        for (key, pod) in pods {
            let uid = meta::text(&pod, "uid").unwrap_or_default().to_owned();
            if shared.known.insert(uid.clone(), key.clone()).is_none() {
                new.push((key, uid));
            }
        }
        new
    }

    /// The life of one pod.
    async fn live(self, key: Key, uid: String) {
        let (lives, life) = self.deal(&key);
        self.wait(lives.schedule).await;
        if life == Life::Unschedulable || !self.bind(&key, &uid) {
            return;
        }
        let born = tokio::time::sleep(self.lock().chance.between(lives.start));
        tokio::select! {
            biased;
            () = self.told_to_stop(&key, &uid) => {}
            () = born => self.begin(&key, &uid, life),
        }
        let death = tokio::time::sleep(self.lock().chance.between(lives.fail));
        tokio::select! {
            biased;
            () = self.told_to_stop(&key, &uid) => {}
            () = death, if life == Life::Failing => {
                self.core.step(|server| change_status(server, &key, Some(&uid), failed));
                self.told_to_stop(&key, &uid).await;
            }
        }
        self.stop(&key, &uid, &lives, life).await;
    }

    fn deal(&self, key: &Key) -> (Lives, Life) {
        let pod = self.core.step(|server| server.store.get("pods", key).cloned());
        let mut shared = self.lock();
        let Shared { chance, lives, .. } = &mut *shared;
        let hard = chance.strikes(lives.hard) && !lives.menu.is_empty();
        let dealt = if hard { lives.menu[chance.index(lives.menu.len())] } else { Life::Good };
        let annotation = pod.and_then(|pod| {
            let path = format!("/metadata/annotations/{}", LIFE.replace('/', "~1"));
            Life::parse(pod.object.pointer(&path)?.as_str()?)
        });
        (lives.clone(), annotation.unwrap_or(dealt))
    }

    /// Gives the pod a node. False if it is gone, or no node is there.
    fn bind(&self, key: &Key, uid: &str) -> bool {
        let mut shared = self.lock();
        self.core.step(|server| {
            let nodes = server.store.list("nodes", None);
            let free: Vec<_> = nodes
                .into_iter()
                .filter(|(_, node)| node["spec"]["unschedulable"] != true)
                .map(|((_, name), _)| name)
                .collect();
            let Some(node) = free.get(shared.chance.index(free.len())) else {
                return false;
            };
            change(server, key, Some(uid), SCHEDULER, |pod| {
                meta::field(pod, "spec").insert("nodeName".into(), node.as_str().into());
                meta::field(pod, "status").insert(
                    "conditions".into(),
                    json!([{ "type": "PodScheduled", "status": "True" }]),
                );
            })
        })
    }

    /// The containers start.
    fn begin(&self, key: &Key, uid: &str, life: Life) {
        let address = {
            let mut shared = self.lock();
            shared.addresses += 1;
            format!("10.0.{}.{}", shared.addresses / 250, shared.addresses % 250 + 1)
        };
        self.core.step(|server| {
            let now = server.clock.stamp();
            change_status(server, key, Some(uid), |pod| match life {
                Life::Imageless => waiting(pod, "ImagePullBackOff"),
                _ => running(pod, &address, life != Life::Unready, &now),
            });
        });
    }

    /// Comes back when the pod was told to stop, or is gone.
    async fn told_to_stop(&self, key: &Key, uid: &str) {
        let mut moved = self.core.moved.subscribe();
        loop {
            let pod = self.core.step(|server| mine(server, key, uid));
            let silent = pod.as_ref().is_some_and(|pod| self.is_silent(pod));
            if pod.is_none_or(|pod| meta::is_deleting(&pod)) && !silent {
                return;
            }
            if silent {
                tokio::time::sleep(LOOK * 100).await;
            } else if moved.changed().await.is_err() {
                return;
            }
        }
    }

    /// The containers stop; the pod goes.
    async fn stop(&self, key: &Key, uid: &str, lives: &Lives, life: Life) {
        let Some(pod) = self.core.step(|server| mine(server, key, uid)) else {
            return;
        };
        let grace = meta::number(&pod, "deletionGracePeriodSeconds").unwrap_or(0);
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        let wish = self.lock().chance.between(lives.stop);
        let time = if life == Life::Stubborn { grace } else { wish.min(grace) };
        tokio::time::sleep(time).await;
        let Some(target) = target(&self.core, "pods", key, KUBELET) else {
            return;
        };
        let options =
            DeleteOptions { uid: Some(uid.to_owned()), grace: Some(0), ..DeleteOptions::default() };
        // A refusal means that it is gone: somebody forced it.
        drop(self.core.step(|server| server.delete(&target, &options)));
    }

    async fn wait(&self, range: (Duration, Duration)) {
        let time = self.lock().chance.between(range);
        tokio::time::sleep(time).await;
    }

    fn is_silent(&self, pod: &Value) -> bool {
        let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
        self.lock().silent.contains(node)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pod, if it is still this one.
fn mine(server: &Server, key: &Key, uid: &str) -> Option<Arc<Value>> {
    let entry = server.store.get("pods", key)?;
    (meta::text(&entry.object, "uid") == Some(uid)).then(|| Arc::clone(&entry.object))
}

fn change_status(
    server: &mut Server,
    key: &Key,
    uid: Option<&str>,
    edit: impl FnOnce(&mut Value),
) -> bool {
    change(server, key, uid, KUBELET, edit)
}

/// Changes a pod as the cluster's own parts may.
fn change(
    server: &mut Server,
    key: &Key,
    uid: Option<&str>,
    by: &str,
    edit: impl FnOnce(&mut Value),
) -> bool {
    let Some(entry) = server.store.get("pods", key) else {
        return false;
    };
    let mut pod = Value::clone(&entry.object);
    if uid.is_some_and(|uid| meta::text(&pod, "uid") != Some(uid)) {
        return false;
    }
    edit(&mut pod);
    let stamp = crate::store::Stamp { by: by.into(), at: server.clock.now() };
    server.store.put("pods", key.clone(), pod, false, stamp);
    true
}

fn running(pod: &mut Value, address: &str, ready: bool, now: &str) {
    let names: Vec<Value> = pod
        .pointer("/spec/containers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|container| {
            json!({ "name": container["name"], "image": container["image"], "imageID": "",
                    "ready": ready, "restartCount": 0, "state": { "running": { "startedAt": now } } })
        })
        .collect();
    let told = if ready { "True" } else { "False" };
    let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "lastTransitionTime": now });
    let status = meta::field(pod, "status");
    status.insert("phase".into(), "Running".into());
    status.insert("podIP".into(), address.into());
    status.insert("podIPs".into(), json!([{ "ip": address }]));
    status.insert("startTime".into(), now.into());
    status.insert("containerStatuses".into(), names.into());
    status.insert(
        "conditions".into(),
        json!([
            condition("PodScheduled", "True"),
            condition("Initialized", "True"),
            condition("ContainersReady", told),
            condition("Ready", told)
        ]),
    );
}

fn waiting(pod: &mut Value, reason: &str) {
    let names: Vec<Value> = pod
        .pointer("/spec/containers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|container| {
            json!({ "name": container["name"], "image": container["image"], "imageID": "",
                    "ready": false, "restartCount": 0, "state": { "waiting": { "reason": reason } } })
        })
        .collect();
    meta::field(pod, "status").insert("containerStatuses".into(), names.into());
}

fn failed(pod: &mut Value) {
    let status = meta::field(pod, "status");
    status.insert("phase".into(), "Failed".into());
    status.insert("reason".into(), "Error".into());
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        if matches!(condition["type"].as_str(), Some("Ready" | "ContainersReady")) {
            condition["status"] = "False".into();
        }
    }
    let containers = status.get_mut("containerStatuses").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        container["ready"] = false.into();
        container["state"] = json!({ "terminated": { "exitCode": 1, "reason": "Error" } });
    }
}
