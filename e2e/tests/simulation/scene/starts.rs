//! Starts and ends that go wrong in the one way that matters: cut short, doubled, after a namesake, or
//! refused at the last step.

use std::time::Duration;

use duckworker_faults::{Call, Fault, Meanwhile, Refusal, Verb};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};

use super::{REPLICAS, Scene};
use crate::process::{LONG_AFTER, NAMESPACE};

impl Scene {
    /// The next of such calls of each controller suffers this.
    fn strike(&mut self, is_it: impl Fn(&Call) -> bool + Clone + Send + 'static, fault: &Fault) {
        for process in self.processes.iter().take(REPLICAS) {
            self.started += 1;
            process.strike(is_it.clone(), fault.clone(), self.started);
        }
    }

    /// A worker is created, and whoever starts it dies when its secret is made, before its pod is.
    pub(super) async fn die_in_a_start(&mut self) {
        self.made += 1;
        let secret = format!("worker-{}-rpc", self.made);
        let is_it = move |call: &Call| {
            call.is(Verb::Create, "secrets") && call.name.as_ref() == Some(&secret)
        };
        self.strike(is_it, &Fault::StopAfter);
        self.create_named(self.made).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        for process in self.processes.iter().filter(|process| process.has_died()) {
            process.kill();
        }
    }

    /// A worker is created, and the request for its pod arrives a second time when the pod has failed
    /// and the worker is over.
    pub(super) async fn make_late(&mut self) {
        self.made += 1;
        let pod = format!("worker-{}", self.made);
        let name = pod.clone();
        let is_it =
            move |call: &Call| call.is(Verb::Create, "pods") && call.name.as_ref() == Some(&name);
        self.strike(is_it, &Fault::Late(LONG_AFTER, Meanwhile::Breaks));
        self.create_named(self.made).await;
        let time = self.chance.between((Duration::from_secs(5), Duration::from_secs(9)));
        tokio::time::sleep(time).await;
        self.cluster.kubelets().fail(NAMESPACE, &pod);
    }

    /// A worker is deleted, and as soon as it is gone another gets its name.
    pub(super) async fn succeed(&mut self) {
        let Ok(list) = self.workers.list(&ListParams::default()).await else { return };
        if list.items.is_empty() {
            return;
        }
        let name = list.items[self.chance.index(list.items.len())].name_any();
        if self.chance.strikes(0.5) {
            // Somebody tells its pod to stop, and is heard when the next has the name.
            let pod = name.clone();
            let is_it = move |call: &Call| {
                call.is(Verb::Delete, "pods") && call.name.as_ref() == Some(&pod)
            };
            self.strike(is_it, &Fault::Late(LONG_AFTER, Meanwhile::Breaks));
        }
        let _ = self.workers.delete(&name, &DeleteParams::default()).await;
        let Some(number) = name.strip_prefix("worker-").and_then(|text| text.parse().ok()) else {
            return;
        };
        for _ in 0..300 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if matches!(self.workers.get_opt(&name).await, Ok(None)) {
                return self.create_named(number).await;
            }
        }
    }

    /// Some workers are deleted, and each controller is refused its first try to let one go.
    pub(super) async fn fail_last_deletions(&mut self) {
        let is_it = |call: &Call| call.is(Verb::Patch, "duckworkers");
        self.strike(is_it, &Fault::Refuse(Refusal::Forbidden));
        for _ in 0..3 {
            self.delete().await;
        }
    }
}
