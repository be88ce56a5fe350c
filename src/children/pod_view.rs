//! Reads a stored pod: the border at which Kubernetes' words become ours.

use duckworker_api::pod::{ContainerStatus, PodCondition, PodStatus, WorkerPod};
use duckworker_api::{labels, marks, owned};
use duckworker_core::Reason;
use duckworker_core::names::{InvalidName, Uid};
use duckworker_core::plan::observed::{PodPhase, PodSeen, PodStop, Readiness, Trouble, Whose};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStateWaiting};

use crate::text::one_line;

/// How long a sentence about a pod may be. It is stored in a condition of the worker.
const SENTENCE: usize = 300;

/// What there is to see of a pod that bears a worker's name.
///
/// # Errors
/// When it has no uid: it was never stored.
pub fn see(pod: &WorkerPod, worker: &Uid) -> Result<PodSeen, InvalidName> {
    let meta = &pod.metadata;
    let status = pod.status.as_ref();
    Ok(PodSeen {
        uid: Uid::new(meta.uid.as_deref().unwrap_or_default())?,
        whose: whose(pod, worker),
        phase: match status {
            _ if meta.deletion_grace_period_seconds == Some(0) => PodPhase::Ended(forced()),
            Some(status) => phase(status),
            None => PodPhase::Starting { blocked: None },
        },
        stop: meta.deletion_timestamp.as_ref().map(|by| PodStop { by: by.0, why: stopped(status) }),
        ip: status.and_then(|s| s.pod_ip.clone()).filter(|ip| !ip.is_empty()),
        mark: marks::read(meta),
        node: pod.spec.node_name.clone().filter(|n| !n.is_empty()),
    })
}

/// Whose pod it is: a container's environment cannot be changed once the pod exists.
pub fn whose(pod: &WorkerPod, worker: &Uid) -> Whose {
    let ours = owned::pod_worker_uid(pod) == Some(worker.as_str());
    if ours { Whose::Ours } else { Whose::Foreign }
}

/// Deleted with no grace: the API server forgets it in this very moment, whoever still runs it.
fn forced() -> Trouble {
    trouble(Reason::PodGone, "the pod was deleted without any time to stop")
}

fn phase(status: &PodStatus) -> PodPhase {
    let duckdb = duckdb(status).and_then(|c| c.state.as_ref());
    let phase = status.phase.as_deref().unwrap_or_default();
    let pod_is_over = matches!(phase, "Failed" | "Succeeded");
    // A sidecar may keep the pod's phase at Running long after DuckDB is gone.
    if pod_is_over || duckdb.is_some_and(|state| state.terminated.is_some()) {
        PodPhase::Ended(ended(status))
    // A simulated node may report no containers.
    } else if duckdb.map_or(phase == "Running", |state| state.running.is_some()) {
        PodPhase::Running(readiness(status))
    } else {
        let blocked = blocked(status);
        PodPhase::Starting { blocked }
    }
}

fn duckdb(status: &PodStatus) -> Option<&ContainerStatus> {
    let mut containers = status.container_statuses.iter();
    containers.find(|container| container.name == labels::DUCKDB_CONTAINER)
}

/// All of them, in the order in which they start.
fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.init_container_statuses.iter().chain(&status.container_statuses)
}

fn readiness(status: &PodStatus) -> Readiness {
    match condition(status, "Ready") {
        Some(PodCondition { status, .. }) if status == "True" => Readiness::Ready,
        _ => Readiness::NotReady,
    }
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

/// What keeps DuckDB from running: first the scheduler's word, then the kubelet's.
fn blocked(status: &PodStatus) -> Option<Trouble> {
    if let Some(unscheduled) = condition(status, "PodScheduled").filter(|c| c.status == "False") {
        let message = unscheduled.message.as_deref().unwrap_or("the pod has no node yet");
        return Some(trouble(Reason::Unschedulable, message));
    }
    containers(status).find_map(container_blocked)
}

fn container_blocked(container: &ContainerStatus) -> Option<Trouble> {
    let state = container.state.as_ref()?;
    if let Some(ended) = state.terminated.as_ref().filter(|t| t.exit_code != 0) {
        return Some(process_ended(&container.name, ended));
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting_reason(waiting)?;
    let word = waiting.reason.as_deref().unwrap_or_default();
    let detail = waiting.message.as_deref().unwrap_or_default();
    let sentence = format!("container {:?} waits: {word}: {detail}", container.name);
    Some(trouble(reason, sentence.trim_end_matches([':', ' '])))
}

/// The kubelet's words for a container that does not start; none for one on its way.
fn waiting_reason(waiting: &ContainerStateWaiting) -> Option<Reason> {
    Some(match waiting.reason.as_deref()? {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => Reason::ImagePullFailed,
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "PostStartHookError" => Reason::ContainerConfigError,
        // Only a sidecar among the init containers is ever restarted.
        "CrashLoopBackOff" => Reason::Crashed,
        _ => return None,
    })
}

/// How a pod ended. The word of whoever ended it comes before the exit code that this caused.
fn ended(status: &PodStatus) -> Trouble {
    if let Some(trouble) = ended_from_outside(status) {
        return trouble;
    }
    let duckdb =
        duckdb(status).and_then(|c| Some((&c.name, c.state.as_ref()?.terminated.as_ref()?)));
    if let Some((name, ended)) = duckdb {
        return process_ended(name, ended);
    }
    if let Some(trouble) = disruption(status) {
        return trouble;
    }
    let failed = containers(status).find_map(|container| {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        (ended.exit_code != 0).then(|| process_ended(&container.name, ended))
    });
    failed.unwrap_or_else(|| {
        let said = status.message.as_deref().or(status.reason.as_deref());
        trouble(Reason::Crashed, said.unwrap_or("the pod ended and does not say why"))
    })
}

/// The pod's own reason: kubelet, node shutdown, preemption.
fn ended_from_outside(status: &PodStatus) -> Option<Trouble> {
    let word = status.reason.as_deref()?;
    let reason = match word {
        "Evicted" | "Preempting" | "Preempted" | "Shutdown" | "NodeShutdown" | "Terminated" => {
            Reason::Evicted
        }
        "NodeLost" => Reason::NodeLost,
        // The kubelet turned it away, though the scheduler had sent it there.
        "NodeAffinity" | "NodePorts" | "UnexpectedAdmissionError" => Reason::Unschedulable,
        _ if word.starts_with("OutOf") => Reason::Unschedulable,
        _ => return None,
    };
    let detail = status.message.as_deref().unwrap_or_default();
    Some(trouble(reason, format!("{word}: {detail}").trim_end_matches([':', ' '])))
}

/// Whoever disrupted the pod leaves a condition, also before it has ended.
fn disruption(status: &PodStatus) -> Option<Trouble> {
    let disruption = condition(status, "DisruptionTarget").filter(|c| c.status == "True")?;
    let word = disruption.reason.as_deref().unwrap_or("Disrupted");
    let reason = if word == "DeletionByPodGC" { Reason::NodeLost } else { Reason::Evicted };
    let detail = disruption.message.as_deref().unwrap_or_default();
    Some(trouble(reason, format!("{word}: {detail}").trim_end_matches([':', ' '])))
}

fn stopped(status: Option<&PodStatus>) -> Trouble {
    status
        .and_then(disruption)
        .unwrap_or_else(|| trouble(Reason::PodDeleted, "the pod was deleted by somebody else"))
}

/// The container's own last words are left out: they may be the end of its log, and a log may
/// hold what its tenant would not want in a condition.
fn process_ended(container: &str, ended: &ContainerStateTerminated) -> Trouble {
    if ended.reason.as_deref() == Some("OOMKilled") {
        let sentence = format!("container {container:?} was killed: out of memory");
        return trouble(Reason::OutOfMemory, sentence);
    }
    let how = match ended.reason.as_deref() {
        // Only the runtime speaks here, before the process has begun.
        Some(word @ ("ContainerCannotRun" | "StartError" | "DeadlineExceeded")) => {
            let detail = ended.message.as_deref().unwrap_or_default();
            return trouble(
                Reason::ContainerConfigError,
                format!("container {container:?}: {word}: {detail}"),
            );
        }
        _ => ended.signal.filter(|&signal| signal != 0).map_or_else(
            || format!("with exit code {}", ended.exit_code),
            |signal| format!("by signal {signal}"),
        ),
    };
    trouble(Reason::Crashed, format!("container {container:?} ended {how}"))
}

fn trouble(reason: Reason, message: impl AsRef<str>) -> Trouble {
    Trouble::new(reason, one_line(message.as_ref(), SENTENCE))
}

#[cfg(test)]
#[path = "pod_view_tests.rs"]
mod tests;
