//! Simulated nodes: what kwok does with nodes and pods, and the annotations that steer it.
//!
//! A pod on a simulated node gets ready within milliseconds and is gone at once when deleted.
//! Annotations on the pod make it behave worse; the [`annotation`] module lists them.

use serde_json::{Value, json};

/// The label of nodes that kwok plays.
pub const SIMULATED_NODE: (&str, &str) = ("duckworker.dev/node", "simulated");

/// Annotations of a pod that say how its simulation goes. Durations are written as `1s` or `250ms`;
/// they start anew when somebody changes the pod meanwhile.
pub mod annotation {
    /// How long the containers take to start; they are shown as `ContainerCreating` until then.
    pub const START_DELAY: &str = "sim.duckworker.dev/start-delay";
    /// With `"true"` the containers run, but never get ready.
    pub const NEVER_READY: &str = "sim.duckworker.dev/never-ready";
    /// With `fail` the images never come: `ImagePullBackOff`.
    pub const IMAGE_PULL: &str = "sim.duckworker.dev/image-pull";
    /// How long after its start the pod fails.
    pub const CRASH_AFTER: &str = "sim.duckworker.dev/crash-after";
    /// The exit code with which it fails, 1 if not given.
    pub const EXIT_CODE: &str = "sim.duckworker.dev/exit-code";
    /// How long the pod takes to go after it was deleted.
    pub const STOP_DELAY: &str = "sim.duckworker.dev/stop-delay";
}

/// The next step of a pod (jq). One expression decides for all stages, as kwok picks by chance
/// when two stages match.
const NEXT_STEP: &str = r#"
(.metadata.annotations // {}) as $sim
| if .metadata.deletionTimestamp then "delete"
  elif .status.phase == "Pending" then
    if ($sim["sim.duckworker.dev/image-pull"] == "fail" or $sim["sim.duckworker.dev/start-delay"])
      and (.status.containerStatuses | not) then "wait"
    elif $sim["sim.duckworker.dev/image-pull"] == "fail" then "nothing"
    else "run" end
  elif .status.phase == "Running" and $sim["sim.duckworker.dev/crash-after"] then "crash"
  else "nothing" end
"#;

/// The next step of a node (jq).
const NODE_NEXT_STEP: &str = r#"
if .status.conditions | any(.[]?; .type == "Ready" and .status == "True") then "nothing"
else "ready" end
"#;

/// The whole configuration file: options, then one document for each stage.
pub(crate) fn config() -> String {
    let documents = [
        options(),
        stage("Node", NODE_NEXT_STEP, "ready", None, &status(NODE_READY)),
        stage("Pod", NEXT_STEP, "wait", None, &status(POD_WAITING)),
        stage("Pod", NEXT_STEP, "run", Some(annotation::START_DELAY), &status(POD_RUNNING)),
        stage("Pod", NEXT_STEP, "crash", Some(annotation::CRASH_AFTER), &status(POD_CRASHED)),
        stage("Pod", NEXT_STEP, "delete", Some(annotation::STOP_DELAY), &json!({"delete": true})),
    ];
    documents.map(|document| document.to_string()).join("\n---\n")
}

const NODE_READY: &str = include_str!("../stages/node-ready.yaml.tmpl");
const POD_WAITING: &str = include_str!("../stages/pod-waiting.yaml.tmpl");
const POD_RUNNING: &str = include_str!("../stages/pod-running.yaml.tmpl");
const POD_CRASHED: &str = include_str!("../stages/pod-crashed.yaml.tmpl");

fn options() -> Value {
    let (label, value) = SIMULATED_NODE;
    json!({
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "metadata": {"name": "kwok"},
        "options": {
            "manageNodesWithLabelSelector": format!("{label}={value}"),
            "nodeIP": "127.0.0.1",
            // Loopback addresses: nothing that calls a simulated pod leaves the machine.
            "cidr": "127.100.0.0/16",
            "nodeLeaseDurationSeconds": 40,
            "nodeLeaseParallelism": 4,
            "nodePlayStageParallelism": 4,
            "podPlayStageParallelism": 16,
            "podsOnNodeSyncParallelism": 4,
        },
    })
}

/// A stage: for objects whose next step is `step`, after the delay that an annotation gives.
fn stage(kind: &str, next: &str, step: &str, delay: Option<&str>, action: &Value) -> Value {
    let mut stage = json!({
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": format!("{}-{step}", kind.to_lowercase())},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": [
                {"jq": {"key": next, "operator": "In", "values": [step]}},
            ]},
            "steps": [action],
        },
    });
    if let Some(annotation) = delay {
        let expression = format!(".metadata.annotations[\"{annotation}\"]");
        stage["spec"]["delay"] = json!({
            "durationMilliseconds": 0,
            "durationFrom": {"jq": {"expression": expression}},
        });
    }
    stage
}

/// A step that writes the status from a template.
fn status(template: &str) -> Value {
    json!({"patch": {"subresource": "status", "root": "status", "template": template}})
}
